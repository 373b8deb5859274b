"""The documents to read, each with what is known to stand in it."""

import csv
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from defusedxml import ElementTree
from pydantic import JsonValue

_REPOSITORY = Path(__file__).parents[2]
_FOLDER = "documents/"


class Truth(StrEnum):
    """What a ground-truth file holds, by the end of its name."""

    MARKDOWN = "markdown"
    TEXT = "text"
    TRANSCRIPT = "transcript"
    RECEIPT = "receipt"
    CELLS = "cells"


_TRUTHS = {
    ".truth.md": Truth.MARKDOWN,
    ".expected.md": Truth.MARKDOWN,
    ".expected.txt": Truth.TEXT,
    ".gt.txt": Truth.TRANSCRIPT,
    ".truth.txt": Truth.TRANSCRIPT,
    ".boxes.csv": Truth.RECEIPT,
    ".expected.csv": Truth.CELLS,
    ".structure.xml": Truth.CELLS,
}
_BOX_COLUMNS = 8
"""x and y of four corners stand before a receipt's text."""


@dataclass(frozen=True, slots=True)
class Phrase:
    page: int
    text: str


@dataclass(frozen=True, slots=True)
class Case:
    """One document. `name` is its path below the data's folder; `truth` the file that says what it
    holds; `needs_password` says that it must not open without its password."""

    name: str
    path: Path
    category: str
    truth: Truth | None = None
    truth_path: Path | None = None
    truth_pages: tuple[int, ...] = ()
    phrases: tuple[Phrase, ...] = ()
    sayings: tuple[str, ...] = ()
    least_sayings: float = 1.0
    page_count: int | None = None
    max_cer: float | None = None
    max_word_error: float | None = None
    password: str | None = None
    needs_password: bool = False

    @property
    def is_scored(self) -> bool:
        """Whether anything is known of what stands in the document."""
        return bool(self.truth or self.phrases or self.sayings or self.needs_password)

    @property
    def format(self) -> str:
        """The name's extension."""
        return self.path.suffix.lower().removeprefix(".") or "none"

    def truth_text(self) -> str:
        """What the document says, as text; a cell or a line of a receipt per line."""
        if self.truth_path is None:
            return ""
        if self.truth in (Truth.CELLS, Truth.RECEIPT):
            return "\n".join(self.truth_cells())
        return self.truth_path.read_text(encoding="utf-8-sig", errors="replace")

    def truth_cells(self) -> list[str]:
        """The cells of a table's truth, or the lines of a receipt's; ICDAR's XML has `content`."""
        if self.truth_path is None:
            return []
        if self.truth_path.suffix == ".xml":
            tree = ElementTree.parse(self.truth_path)
            return [element.text or "" for element in tree.iter("content")]
        text = self.truth_path.read_text(encoding="utf-8-sig", errors="replace")
        if self.truth is Truth.RECEIPT:
            return [_receipt_line(line) for line in text.splitlines()]
        return [cell for row in csv.reader(text.splitlines()) for cell in row]


def _receipt_line(line: str) -> str:
    """The text may hold commas itself."""
    return line.split(",", _BOX_COLUMNS)[-1]


def data_folder() -> Path:
    """The larger test data beside the repository, or at MUNIMENT_TEST_DATA."""
    return Path(os.environ.get("MUNIMENT_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))


def load_cases(folder: Path) -> list[Case]:
    """Every document that is input, by name; FileNotFoundError where the data is absent."""
    lines = (folder / "MANIFEST.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    cases = [
        _case(folder, record)
        for record in records
        if record["path"].startswith(_FOLDER) and record["role"] == "input"
    ]
    return sorted(cases, key=lambda case: case.name)


def _case(folder: Path, record: Mapping[str, JsonValue]) -> Case:
    name = str(record["path"])
    expected = record.get("expected")
    expected = expected if isinstance(expected, dict) else {}
    truth, truth_path = _truth(folder, _strings(record.get("ground_truth")))
    sayings, least = _sayings(expected)
    return Case(
        name=name.removeprefix(_FOLDER),
        path=folder / name,
        category=str(record["category"]),
        truth=truth,
        truth_path=truth_path,
        truth_pages=tuple(int(page) for page in _strings(expected.get("gt_pages"))),
        phrases=_phrases(expected.get("phrases_two_extractors_agree")),
        sayings=sayings,
        least_sayings=least,
        page_count=int(str(expected["pages"])) if "pages" in expected else None,
        max_cer=_number(expected.get("max_cer")),
        max_word_error=_number(expected.get("max_word_error_bag")),
        password=str(expected.get("password") or "") or None,
        needs_password=expected.get("needs_password") is True,
    )


def _truth(folder: Path, paths: Iterable[str]) -> tuple[Truth | None, Path | None]:
    for path in paths:
        for ending, truth in _TRUTHS.items():
            if path.endswith(ending):
                return truth, folder / path
    return None, None


def _sayings(expected: Mapping[str, JsonValue]) -> tuple[tuple[str, ...], float]:
    """Texts that must be found, and the least share of them."""
    for key in ("must_contain", "must_contain_ci"):
        if key in expected:
            return tuple(_strings(expected[key])), 1.0
    if most := _strings(expected.get("must_contain_most")):
        return tuple(most), _number(expected.get("min_fraction")) or 1.0
    any_of = _strings(expected.get("must_contain_any"))
    return tuple(any_of), 1.0 / len(any_of) if any_of else 1.0


def _phrases(value: JsonValue) -> tuple[Phrase, ...]:
    entries = value if isinstance(value, list) else []
    return tuple(
        Phrase(int(str(entry["page"])), str(entry["text"]))
        for entry in entries
        if isinstance(entry, dict)
    )


def _strings(value: JsonValue) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]


def _number(value: JsonValue) -> float | None:
    return float(str(value)) if value is not None else None

"""The documents: mixed real ones beside the repository, and small texts of known words."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).parents[1]
_SCANNED = ("documents/ocr", "documents/ocr-derived")
_MIXTURE = {
    _SCANNED: 13,
    ("documents/pdf-digital",): 7,
    ("documents/docx",): 3,
    ("documents/pptx",): 2,
    ("documents/xlsx",): 2,
    ("documents/html",): 1,
    ("documents/markdown",): 1,
    ("documents/text",): 1,
}
"""Thirty; thirteen of them are pictures of pages."""
_MOST_PAGES = 20
_MOST_BYTES = 2_000_000


@dataclass(frozen=True)
class _Entry:
    path: Path
    category: str
    pages: int


def mixed_documents() -> list[Path]:
    """Thirty documents, the same on every run: from each kind, spread evenly over its files.

    Raises FileNotFoundError where the larger test data is absent.
    """
    folder = Path(os.environ.get("MUNIMENT_TEST_DATA", _REPOSITORY.parent / "shared" / "data"))
    lines = (folder / "MANIFEST.jsonl").read_text(encoding="utf-8").splitlines()
    entries = sorted(_usable(folder, lines), key=lambda entry: entry.path)
    return [path for kinds, count in _MIXTURE.items() for path in _spread(entries, kinds, count)]


def _usable(folder: Path, lines: Iterable[str]) -> Iterable[_Entry]:
    for line in lines:
        record = json.loads(line)
        pages = (record.get("check") or {}).get("pages") or 1
        small = pages <= _MOST_PAGES and 0 < record["bytes"] <= _MOST_BYTES
        if record["role"] == "input" and small:
            yield _Entry(folder / record["path"], record["category"], pages)


def _spread(entries: list[_Entry], kinds: tuple[str, ...], count: int) -> list[Path]:
    found = [entry.path for entry in entries if entry.category in kinds]
    step = max(1, len(found) // count)
    return found[::step][:count]


def one_page_text(number: int) -> bytes:
    """About 400 words, different for every number from the first line on."""
    sentences = [
        f"Entry {number}.{line}: the keeper of the {place} counted {number * 31 + line * 7} sealed"
        f" letters, wrote the figure into the register and closed the door at {line % 12} o'clock."
        for line, place in enumerate(["north tower", "archive", "chapel", "counting house"] * 4)
    ]
    return f"Register of the muniment room, volume {number}\n\n{' '.join(sentences)}\n".encode()

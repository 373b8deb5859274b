"""What nobody sees of a workbook (XLSX): hidden sheets, and the hidden rows and columns of others."""

import re
from collections.abc import Iterator, Sequence

from lxml import etree

from activities.read.office_package import (
    OfficePackage,
    UnseenText,
    attribute,
    attributes,
    local_name,
)

_HIDDEN_STATES = ("hidden", "veryHidden")
_YES = ("1", "true")
_LETTERS = re.compile(r"[A-Z]{1,3}")


def take_out_of_workbook_package(package: OfficePackage) -> list[UnseenText]:
    """Takes out the cells of hidden sheets, rows and columns, and of sheets that no workbook lists; a
    text for each sheet that had some."""
    numbers, hidden = _sheets(package)
    shared: list[str] | None = None
    texts: list[UnseenText] = []
    for name, sheet in package.roots():
        if next(sheet.iter("{*}sheetData"), None) is None:
            continue
        is_hidden = name in hidden or name not in numbers
        unseen = list(sheet.iter("{*}c")) if is_hidden else list(_unseen(sheet))
        if not unseen:
            continue
        if shared is None:
            shared = _shared_strings(package)
        text = " ".join(" ".join(_text(cell, shared).split()) for cell in unseen)
        if text.strip():
            texts.append(UnseenText(" ".join(text.split()), numbers.get(name)))
        for cell in unseen:
            cell.getparent().remove(cell)
    return sorted(texts, key=lambda text: text.page or 0)


def _sheets(package: OfficePackage) -> tuple[dict[str, int], set[str]]:
    """The sheets' numbers by their parts' names, and which of them are hidden."""
    numbers: dict[str, int] = {}
    hidden: set[str] = set()
    for name, workbook in package.roots("workbook"):
        targets = package.targets(name)
        for number, sheet in enumerate(workbook.iterfind("{*}sheets/{*}sheet"), start=1):
            parts = [targets[key] for key in attributes(sheet, "id") if key in targets]
            numbers |= dict.fromkeys(parts, number)
            if any(state in _HIDDEN_STATES for state in attributes(sheet, "state")):
                hidden |= set(parts)
    return numbers, hidden


def _unseen(sheet: etree._Element) -> Iterator[etree._Element]:
    columns = [
        (int(attribute(column, "min")), int(attribute(column, "max")))
        for column in sheet.iterfind("{*}cols/{*}col")
        if attribute(column, "hidden") in _YES
        and attribute(column, "min").isdecimal()
        and attribute(column, "max").isdecimal()
    ]
    for row in sheet.iter("{*}row"):
        is_hidden = attribute(row, "hidden") in _YES
        number = 0
        for cell in row.iterfind("{*}c"):
            number = _column(attribute(cell, "r"), number + 1)
            if is_hidden or any(first <= number <= last for first, last in columns):
                yield cell


def _column(reference: str, following: int) -> int:
    """From 1, of a reference such as AB12; cells without one follow each other."""
    letters = _LETTERS.match(reference.upper())
    if letters is None:
        return following
    number = 0
    for letter in letters.group():
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _shared_strings(package: OfficePackage) -> list[str]:
    for _, root in package.roots("sst"):
        return [_written(item) for item in root.iterfind("{*}si")]
    return []


def _text(cell: etree._Element, shared: Sequence[str]) -> str:
    value = cell.find("{*}v")
    written = "" if value is None else value.text or ""
    if attribute(cell, "t") == "s":
        is_there = written.isdecimal() and int(written) < len(shared)
        return shared[int(written)] if is_there else ""
    return written or "".join(_written(each) for each in cell.iterfind("{*}is"))


def _written(item: etree._Element) -> str:
    """Without the reading aids of East Asian scripts, which stand beside the text."""
    return "".join(
        node.text or "" for node in item.iter("{*}t") if local_name(node.getparent()) != "rPh"
    )

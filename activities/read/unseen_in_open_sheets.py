"""What nobody sees of an OpenDocument spreadsheet: hidden sheets, and the hidden rows and columns of
others."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from lxml import etree

from activities.read.office_package import OfficePackage, UnseenText, attribute, local_name
from activities.read.unseen_in_open_text import CONTENT, STYLES

_HIDDEN = ("collapse", "filter")
"""ODF 1.3, part 3, 19.749: what is collapsed, and what a filter leaves out."""
_ROWS, _COLUMNS = "number-rows-repeated", "number-columns-repeated"
_ROWS_SPANNED, _COLUMNS_SPANNED = "number-rows-spanned", "number-columns-spanned"
_CELLS = ("table-cell", "covered-table-cell")
_APART = ("shapes", "forms", "annotation", "table")
"""What within a table or a cell has tables, or texts, of its own."""


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Numbers from 0, as ranges in their order, none of which overlaps another."""

    starts: tuple[int, ...]
    ends: tuple[int, ...]
    before: tuple[int, ...]

    @classmethod
    def of(cls, ranges: Sequence[tuple[int, int]]) -> "_Ranges":
        lengths = [end - start for start, end in ranges]
        before = (0, *accumulate(lengths))
        return cls(tuple(start for start, _ in ranges), tuple(end for _, end in ranges), before)

    def count(self, start: int, end: int) -> int:
        """How many there are from `start` on and before `end`."""
        return self._until(end) - self._until(start)

    def _until(self, end: int) -> int:
        place = bisect_left(self.starts, end)
        if place == 0:
            return 0
        return self.before[place - 1] + min(end, self.ends[place - 1]) - self.starts[place - 1]


@dataclass(frozen=True, slots=True)
class _Row:
    element: etree._Element
    start: int
    repeated: int
    is_hidden: bool


def take_out_unseen_open_sheets(
    content: etree._Element, styles: etree._Element | None
) -> list[UnseenText]:
    """Takes hidden rows and columns out, and all cells of hidden sheets; a text for each sheet that
    had some. Cells that reach from a hidden row or column into seen ones stay."""
    hidden_styles = {
        attribute(style, "name")
        for root in (styles, content)
        for style in (() if root is None else root.iter("{*}style"))
        if attribute(style, "family") == "table" and _is_undisplayed(style)
    }
    texts = []
    for number, table in enumerate(list(content.iter("{*}table")), start=1):
        is_hidden = (
            attribute(table, "display") == "false"
            or attribute(table, "style-name") in hidden_styles
        )
        pieces = _emptied(table) if is_hidden else _without_hidden(table)
        text = " ".join(" ".join(pieces).split())
        if text:
            texts.append(UnseenText(text, number))
    return texts


def take_out_of_open_sheets_package(package: OfficePackage) -> list[UnseenText]:
    content = package.root(CONTENT)
    if content is None:
        return []
    texts = take_out_unseen_open_sheets(content, package.root(STYLES))
    package.keep(CONTENT, content)
    return texts


def _is_undisplayed(style: etree._Element) -> bool:
    return any(
        attribute(properties, "display") == "false"
        for properties in style.iterfind("{*}table-properties")
    )


def _emptied(table: etree._Element) -> list[str]:
    """All texts of the table, which keeps its place among the sheets."""
    texts = []
    for row in list(_elements(table, "table-row")):
        texts += [_text(cell) for cell in _cells(row)]
        row.getparent().remove(row)
    for shapes in table.findall("{*}shapes"):
        texts.append(" ".join(shapes.itertext()))
        table.remove(shapes)
    return texts


def _without_hidden(table: etree._Element) -> list[str]:
    columns = _hidden_columns(table)
    rows = list(_rows(table))
    hidden_rows = _Ranges.of(
        [(row.start, row.start + row.repeated) for row in rows if row.is_hidden]
    )
    if not columns.starts and not hidden_rows.starts:
        return []
    texts: list[str] = []
    removed: list[tuple[int, int]] = []
    for row in rows:
        if not row.is_hidden:
            continue
        if any(_reaches_on(cell, row, hidden_rows) for cell in _cells(row.element)):
            texts += [
                _cleared(cell)
                for cell in _cells(row.element)
                if not _reaches_on(cell, row, hidden_rows)
            ]
            continue
        texts += [_text(cell) for cell in _cells(row.element)]
        removed.append((row.start, row.start + row.repeated))
        row.element.getparent().remove(row.element)
    gone = _Ranges.of(removed)
    for row in rows:
        if row.element.getparent() is not None:
            _shorten_spans(row, gone)
            texts += _taken_from(row.element, columns)
    _narrow(table, columns)
    return texts


def _reaches_on(cell: etree._Element, row: _Row, hidden: _Ranges) -> bool:
    """Whether a merged cell goes on in a row that is seen."""
    spanned = _number(cell, _ROWS_SPANNED)
    return spanned > 1 and hidden.count(row.start, row.start + spanned) < spanned


def _shorten_spans(row: _Row, gone: _Ranges) -> None:
    for cell in _cells(row.element):
        spanned = _number(cell, _ROWS_SPANNED)
        if spanned > 1:
            _set(cell, _ROWS_SPANNED, spanned - gone.count(row.start, row.start + spanned))


def _taken_from(row: etree._Element, hidden: _Ranges) -> list[str]:
    """Takes the cells of hidden columns out of a row."""
    texts = []
    column, owed = 0, 0
    for cell in list(_cells(row)):
        repeated = _number(cell, _COLUMNS)
        start, column = column, column + repeated
        seen = repeated - hidden.count(start, column)
        spanned = _number(cell, _COLUMNS_SPANNED)
        if spanned > 1:
            left = spanned - hidden.count(start, start + spanned)
            _set(cell, _COLUMNS_SPANNED, max(left, 1))
            if seen == 0 and left > 0:
                # The merged cell takes the place of the first one seen that it covers.
                owed, seen = 1, 1
        elif owed and seen and local_name(cell) == "covered-table-cell":
            owed, seen = 0, seen - 1
        if seen == 0:
            texts.append(_text(cell))
            row.remove(cell)
        elif seen != repeated:
            _set(cell, _COLUMNS, seen)
    return texts


def _narrow(table: etree._Element, hidden: _Ranges) -> None:
    column = 0
    for element in list(_elements(table, "table-column")):
        repeated = _number(element, _COLUMNS)
        start, column = column, column + repeated
        seen = repeated - hidden.count(start, column)
        if seen == 0:
            element.getparent().remove(element)
        elif seen != repeated:
            _set(element, _COLUMNS, seen)


def _hidden_columns(table: etree._Element) -> _Ranges:
    ranges = []
    column = 0
    for element in _elements(table, "table-column"):
        start, column = column, column + _number(element, _COLUMNS)
        if _is_hidden(element, table):
            ranges.append((start, column))
    return _Ranges.of(ranges)


def _rows(table: etree._Element) -> Iterator[_Row]:
    start = 0
    for element in _elements(table, "table-row"):
        repeated = _number(element, _ROWS)
        yield _Row(element, start, repeated, _is_hidden(element, table))
        start += repeated


def _elements(parent: etree._Element, kind: str) -> Iterator[etree._Element]:
    """The table's own rows or columns, in groups or not."""
    for child in parent:
        found = local_name(child)
        if found == kind:
            yield child
        elif found and found not in _APART and found not in ("table-row", "table-column"):
            yield from _elements(child, kind)


def _is_hidden(element: etree._Element, table: etree._Element) -> bool:
    if attribute(element, "visibility") in _HIDDEN:
        return True
    for group in element.iterancestors():
        if group is table:
            return False
        if attribute(group, "display") == "false":
            return True
    return False


def _cells(row: etree._Element) -> Iterator[etree._Element]:
    return (cell for cell in row if local_name(cell) in _CELLS)


def _text(cell: etree._Element) -> str:
    """What the cell shows; its value where it shows no text."""
    shown = " ".join(" ".join(part.itertext()) for part in cell.iterfind("{*}p")).strip()
    return shown or attribute(cell, "string-value") or attribute(cell, "value")


def _cleared(cell: etree._Element) -> str:
    text = _text(cell)
    for child in list(cell):
        cell.remove(child)
    for key in list(cell.attrib):
        if str(key).rpartition("}")[2] in ("value", "value-type", "string-value", "formula"):
            del cell.attrib[key]
    return text


def _number(element: etree._Element, name: str) -> int:
    given = attribute(element, name)
    return max(int(given), 1) if given.isdecimal() else 1


def _set(element: etree._Element, name: str, number: int) -> None:
    for key in list(element.attrib):
        if str(key).rpartition("}")[2] == name:
            element.attrib[key] = str(number)

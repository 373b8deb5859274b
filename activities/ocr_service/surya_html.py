"""Text and tables out of the HTML that a model writes of a block.

What a model writes is data: whoever made the picture that it was shown may have had a say in it. Only
text leaves here, and cells by their place; no tag, attribute or comment does.
"""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from activities.read.unseen_characters import without_unseen

MAXIMUM_CELLS = 5000
MAXIMUM_COLUMNS = 100
MAXIMUM_SPAN = 50

_BREAKS = frozenset(
    (
        *("p", "br", "div", "li", "ul", "ol", "pre", "hr", "table", "caption", "tr"),
        *("h1", "h2", "h3", "h4", "h5", "h6"),
    )
)
_UNREAD = frozenset(("script", "style"))
_CELLS = frozenset(("td", "th"))
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class HtmlCell:
    """Its place in the grid, from 0."""

    row: int
    column: int
    row_span: int
    column_span: int
    is_header: bool
    text: str


@dataclass(frozen=True, slots=True)
class HtmlTable:
    """Cells row by row; `outside` is text that stands in none, such as a caption."""

    row_count: int
    column_count: int
    cells: tuple[HtmlCell, ...]
    outside: tuple[str, ...]


def text_lines(html: str) -> list[str]:
    """The text's lines, broken where the markup breaks them; the cells of a row are one line."""
    lines = []
    for part in _read(html):
        line = part if isinstance(part, str) else " ".join(cell.text for cell in part if cell.text)
        if line:
            lines.append(line)
    return lines


def table_of(html: str) -> HtmlTable | None:
    """The tables' rows as one table; None where there are no cells, or absurdly many."""
    parts = _read(html)
    rows = [part for part in parts if isinstance(part, list) and part]
    if not rows or sum(map(len, rows)) > MAXIMUM_CELLS:
        return None
    return _placed(rows, tuple(part for part in parts if isinstance(part, str)))


@dataclass(slots=True)
class _RawCell:
    is_header: bool
    row_span: int
    column_span: int
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return _clean("".join(self.pieces))


class _Reader(HTMLParser):
    """Takes the text apart into lines and rows of cells; a table in a cell is that cell's text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str | list[_RawCell]] = []
        self._line = ""
        self._row: list[_RawCell] | None = None
        self._cell: _RawCell | None = None
        self._tables = 0
        self._unread = 0

    def close(self) -> None:
        super().close()
        self._break()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _UNREAD:
            self._unread += 1
        elif tag == "input" and given.get("type") in ("checkbox", "radio"):
            self._add("☑ " if "checked" in given else "☐ ")
        elif tag in _BREAKS or tag in _CELLS:
            self._break()
        if tag == "table":
            self._tables += 1
        elif tag == "tr" and self._tables == 1:
            self._begin_row()
        elif tag in _CELLS and self._tables == 1:
            row = self._row if self._row is not None else self._begin_row()
            spans = _span(given.get("rowspan")), _span(given.get("colspan"))
            self._cell = _RawCell(tag == "th", *spans)
            row.append(self._cell)

    def handle_endtag(self, tag: str) -> None:
        if tag in _UNREAD:
            self._unread = max(0, self._unread - 1)
        elif tag in _BREAKS:
            self._break()
        if tag == "table":
            self._tables = max(0, self._tables - 1)
        if self._tables == 0 or (self._tables == 1 and (tag in _CELLS or tag == "tr")):
            self._cell = None
        if self._tables == 0:
            self._row = None

    def handle_data(self, data: str) -> None:
        if not self._unread:
            self._add(data)

    def _begin_row(self) -> list[_RawCell]:
        self._row = []
        self._cell = None
        self.parts.append(self._row)
        return self._row

    def _add(self, text: str) -> None:
        if self._cell is not None:
            self._cell.pieces.append(text)
        else:
            self._line += text

    def _break(self) -> None:
        if self._cell is not None:
            self._cell.pieces.append(" ")
        elif line := _clean(self._line):
            self.parts.append(line)
            self._line = ""


def _read(html: str) -> list[str | list[_RawCell]]:
    """Lines, and rows of cells, in their order."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.parts


def _placed(rows: list[list[_RawCell]], outside: tuple[str, ...]) -> HtmlTable | None:
    """As browsers place cells: each in the first free column of its row; None when too wide."""
    taken: set[tuple[int, int]] = set()
    cells: list[HtmlCell] = []
    for number, row in enumerate(rows):
        column = 0
        for raw in row:
            while (number, column) in taken:
                column += 1
            if column + raw.column_span > MAXIMUM_COLUMNS:
                return None
            height = min(raw.row_span, len(rows) - number)
            covered = range(column, column + raw.column_span)
            taken.update(
                (below, across) for below in range(number, number + height) for across in covered
            )
            cells.append(HtmlCell(number, column, height, raw.column_span, raw.is_header, raw.text))
            column += raw.column_span
    width = max(column for _, column in taken) + 1
    return HtmlTable(len(rows), width, tuple(cells), outside)


def _clean(text: str) -> str:
    return _SPACE.sub(" ", _CONTROL.sub(" ", without_unseen(text)[0])).strip()


def _span(value: str | None) -> int:
    """What the attribute says, within bounds; 1 where it says nothing of the kind."""
    if not value or len(value) > 4 or not value.isdecimal():
        return 1
    return min(max(int(value), 1), MAXIMUM_SPAN)

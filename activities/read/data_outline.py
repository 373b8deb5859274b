"""Data as a readable document: headings, lines of `name: value`, and tables of records."""

from collections.abc import Iterator, Mapping, Sequence

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from activities.read.plain_text import MAXIMUM_LINE_CHARACTERS, MAXIMUM_PARAGRAPH_LINES
from activities.read.table_items import add_table

MAXIMUM_VALUES = 50_000
"""What has more is read as plain text: an item or a cell takes kilobytes while a document is built."""
MAXIMUM_LEVEL = 6
"""As deep as headings go in Markdown and HTML; what lies deeper is named by its path."""
MAXIMUM_COLUMNS = 40
MAXIMUM_CELL_CHARACTERS = 300
"""Records with longer texts are read one by one: a table of them would have lines nobody reads."""
ROWS_PER_TABLE = 1_000

Record = Mapping[str, str]


class DataOutline:
    """Builds the document from top to bottom."""

    def __init__(self) -> None:
        self._document = DoclingDocument(name="document")
        self._lines: list[str] = []

    def heading(self, text: str, level: int) -> None:
        """`level` counts from 1; deeper ones than `MAXIMUM_LEVEL` are headings of that level."""
        self._end_lines()
        self._document.add_heading(_one_line(text), level=min(level, MAXIMUM_LEVEL))

    def value(self, name: str, text: str) -> None:
        """One value with its name; neighbours share a paragraph, a text of several lines has its
        own."""
        text = _clean(text)
        if "\n" in text.strip() or len(text) > MAXIMUM_CELL_CHARACTERS:
            self.paragraph(f"{name}: {text}" if name else text)
            return
        self._lines.append(f"{name}: {text.strip()}" if name else text.strip())
        if len(self._lines) >= MAXIMUM_PARAGRAPH_LINES:
            self._end_lines()

    def paragraph(self, text: str) -> None:
        """Text on its own; what is very long becomes several."""
        self._end_lines()
        text = _clean(text).strip()
        for start in range(0, len(text), MAXIMUM_LINE_CHARACTERS):
            self._document.add_text(
                label=DocItemLabel.TEXT, text=text[start : start + MAXIMUM_LINE_CHARACTERS]
            )

    def code(self, text: str) -> None:
        self._end_lines()
        self._document.add_code(text=_clean(text).strip("\n"))

    def records(self, records: Sequence[Record]) -> None:
        """A table with a column for every name that a record has, in the order of first sight."""
        self._end_lines()
        names = columns_of(records)
        for start in range(0, len(records), ROWS_PER_TABLE):
            rows = [
                [_clean(record.get(name, "")) for name in names]
                for record in records[start : start + ROWS_PER_TABLE]
            ]
            add_table(self._document, [names, *rows])

    def document(self) -> DoclingDocument:
        """What was built."""
        self._end_lines()
        return self._document

    def _end_lines(self) -> None:
        if self._lines:
            self._document.add_text(label=DocItemLabel.TEXT, text="\n".join(self._lines))
            self._lines.clear()


def columns_of(records: Sequence[Record]) -> list[str]:
    """Every name, in the order of first sight."""
    return list(dict.fromkeys(name for record in records for name in record))


def are_tabular(records: Sequence[Record]) -> bool:
    """Whether a table of them can be read: several, with enough in common and short values."""
    if len(records) < 2:
        return False
    width = len(columns_of(records))
    filled = sum(len(record) for record in records)
    return (
        0 < width <= MAXIMUM_COLUMNS
        and 2 * filled >= width * len(records)
        and all(len(value) <= MAXIMUM_CELL_CHARACTERS for value in _values(records))
    )


def _values(records: Sequence[Record]) -> Iterator[str]:
    return (value for record in records for value in record.values())


def _clean(text: str) -> str:
    """Without what no store holds: NUL, and halves of surrogate pairs that JSON may escape."""
    return text.replace("\0", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _one_line(text: str) -> str:
    return " ".join(_clean(text).split())[:MAXIMUM_CELL_CHARACTERS] or "-"

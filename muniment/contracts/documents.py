"""Pages, plans and chunks: the shapes that stages pass on inside sealed artifacts.

Frame of every box: the page's crop box after rotation, origin top left, in points (1/72 inch; an
image's at its own resolution, else 72 dpi). Pages are numbered from 1.
"""

from enum import StrEnum

from muniment.contracts.base import Contract
from muniment.contracts.word_boxes import BoundingBox as BoundingBox
from muniment.contracts.word_boxes import packed_length, unpack_boxes


class DocumentFamily(StrEnum):
    """How a document is read; several media types share a family."""

    PDF = "pdf"
    IMAGE = "image"
    WORD = "word"
    PRESENTATION = "presentation"
    SPREADSHEET = "spreadsheet"
    HTML = "html"
    MARKDOWN = "markdown"
    TEXT = "text"


READ_BY_PAGE = frozenset({DocumentFamily.PDF, DocumentFamily.IMAGE})
"""Families whose pages can be read apart; the others' own formats are read whole."""


class PageSource(StrEnum):
    TEXT = "text"
    OCR = "ocr"


class PagePlan(Contract):
    """How one page will be read, and why. `label` is the number printed on a page that its picture
    alone will be read of, where the document says it."""

    page: int
    source: PageSource
    reason: str
    label: str | None = None


class OutlineEntry(Contract):
    """A bookmark; `level` counts from 0, `page` is absent where it leads nowhere, `top` (points from
    the page's upper edge) where it names a page only."""

    title: str
    level: int
    page: int | None = None
    top: float | None = None


class DocumentPlan(Contract):
    """What `inspect` found out: the artifact of that stage.

    `language` is the IETF tag that the document gives itself, `outline` its bookmarks;
    `member_count` counts the files in an archive and the attachments of a message. `read_as` is the
    format that the document is converted to before it is read; `needs_password` that it is a PDF
    which opens with the given password only.
    """

    media_type: str
    read_as: str | None = None
    family: DocumentFamily
    page_count: int
    pages: tuple[PagePlan, ...]
    member_count: int = 0
    title: str | None = None
    authors: tuple[str, ...] = ()
    created: str | None = None
    language: str | None = None
    outline: tuple[OutlineEntry, ...] = ()
    needs_password: bool = False


class WordBox(Contract):
    """A word of a line and its place on the page."""

    text: str
    bbox: BoundingBox


class Line(Contract):
    """A line of text; `bbox` is absent in formats without pages, `confidence` (0–1) in text layers.

    `font_size` (points, the height of the em square), `bold`, `italic` and `monospace` are known for
    text layers only; OCR leaves the box's height to go by.

    `word_boxes` holds a box for each of the words between white space, packed so that a document of
    thousands of pages stays small: base64 of four little-endian uint16 for each (x0, y0, x1, y1), as
    shares of the line's box in 65,535ths. Empty: not known.
    """

    text: str
    bbox: BoundingBox | None = None
    confidence: float | None = None
    font_size: float | None = None
    bold: bool = False
    italic: bool = False
    monospace: bool = False
    word_boxes: str = ""

    def words(self) -> tuple[WordBox, ...]:
        """The line's words with their boxes; none where boxes are not known."""
        words = self.text.split()
        if self.bbox is None or len(self.word_boxes) != packed_length(len(words)):
            return ()
        boxes = unpack_boxes(self.word_boxes, self.bbox)
        return tuple(WordBox(text=word, bbox=box) for word, box in zip(words, boxes, strict=True))


class TableCell(Contract):
    """A cell of a table, from 0; its text are `line_count` lines of the page from `first_line` on."""

    row: int
    column: int
    row_span: int = 1
    column_span: int = 1
    is_header: bool = False
    first_line: int
    line_count: int
    bbox: BoundingBox


class Table(Contract):
    """A table on a page: its lines are `line_count` lines of the page from `first_line` on. Cells
    without text are left out."""

    bbox: BoundingBox
    row_count: int
    column_count: int
    first_line: int
    line_count: int
    cells: tuple[TableCell, ...]


class HiddenKind(StrEnum):
    """Why a reader of the page does not see the text."""

    INVISIBLE = "invisible"
    OFF_PAGE = "off_page"
    TINY = "tiny"
    SAME_COLOUR = "same_colour"
    UNSEEN_CHARACTERS = "unseen_characters"


MOST_HIDDEN_TEXTS = 100
"""That are written down of a page; as many may stand for more."""


class HiddenText(Contract):
    """Text of the page's content that nobody sees: it is in no line, and so in no passage or answer.
    `text` is cut where it is long."""

    kind: HiddenKind
    text: str
    bbox: BoundingBox | None = None


class Page(Contract):
    """One page as read. Formats without pages have page 1 of size 0 × 0 and no boxes; `label` is the
    number printed on the page, where the document says it, `queue` the task queue whose worker read
    it."""

    page: int
    label: str | None = None
    width: float
    height: float
    unit: str = "pt"
    rotation: int = 0
    source: PageSource
    engine: str
    confidence: float | None = None
    text: str
    lines: tuple[Line, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[BoundingBox, ...] = ()
    hidden: tuple[HiddenText, ...] = ()
    queue: str | None = None


class PageStructure(Contract):
    """What a layout model made of a page: DoclingDocument JSON, of which that page is the only one."""

    page: int
    document: str


class PageBatch(Contract):
    """The artifact of `read` for a range of pages; `document` is the DoclingDocument JSON that a
    structured format's own backend made, which `assemble` then keeps as it is. So it does
    `structures`, one for each page where a pipeline of models was chosen."""

    pages: tuple[Page, ...]
    document: str | None = None
    structures: tuple[PageStructure, ...] = ()


class PageBox(Contract):
    page: int
    bbox: BoundingBox


class Chunk(Contract):
    """A passage within the embedder's window.

    `text` is what is shown and quoted; `headings` from the outermost in are embedded before it.
    """

    ordinal: int
    text: str
    token_count: int
    headings: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    boxes: tuple[PageBox, ...] = ()

    def embedding_text(self) -> str:
        """What the embedder is given: the headings from the outermost in, then the text."""
        return "\n".join((*self.headings, self.text))


class ChunkList(Contract):
    """The artifact of `chunk`. `unmasked_count`: values that were to be masked and can still be found."""

    chunks: tuple[Chunk, ...]
    embedding_model: str
    unmasked_count: int = 0


class FindingKind(StrEnum):
    PERSONAL_DATA = "personal_data"
    SECRET = "secret"  # noqa: S105 - the name of a kind of finding, not a password
    HIDDEN_TEXT = "hidden_text"
    """What nobody sees on the page: it stands nowhere in the page's text (`start` and `end` are 0) unless it
    is characters there that show nothing."""
    PROMPT_INJECTION = "prompt_injection"
    """What speaks to a machine instead of to readers."""


MASKABLE_KINDS = frozenset({FindingKind.PERSONAL_DATA, FindingKind.SECRET})
"""Of what has a value that something may stand for."""


class Finding(Contract):
    """A place where something was found: where and what kind, never the value.

    `start` and `end` are code points in the page's text; `boxes`, one for each line of it, are there
    where the reading knows places. `recogniser_version` names the library, or the configured
    expression, that found it.
    """

    kind: FindingKind
    entity: str
    page: int
    start: int
    end: int
    score: float
    recogniser: str
    recogniser_version: str = ""
    boxes: tuple[BoundingBox, ...] = ()


class FindingList(Contract):
    """The artifact of `classify`; `incomplete` names what a recogniser could not examine."""

    findings: tuple[Finding, ...]
    incomplete: tuple[str, ...] = ()

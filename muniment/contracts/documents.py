"""Pages, plans and chunks: the shapes that stages pass on inside sealed artifacts.

Frame of every box: the page's crop box after rotation, origin top left, in points (1/72 inch; an
image's at its own resolution, else 72 dpi). Pages are numbered from 1.
"""

from enum import StrEnum

from muniment.contracts.base import Contract

BoundingBox = tuple[float, float, float, float]
"""x0, y0, x1, y1 with x0 ≤ x1 and y0 ≤ y1."""


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


class PageSource(StrEnum):
    TEXT = "text"
    OCR = "ocr"


class PagePlan(Contract):
    """How one page will be read, and why."""

    page: int
    source: PageSource
    reason: str


class DocumentPlan(Contract):
    """What `inspect` found out: the artifact of that stage. `member_count` counts the files in an
    archive and the attachments of a message."""

    media_type: str
    family: DocumentFamily
    page_count: int
    pages: tuple[PagePlan, ...]
    member_count: int = 0
    title: str | None = None
    authors: tuple[str, ...] = ()
    created: str | None = None


class Line(Contract):
    """A line of text; `bbox` is absent in formats without pages, `confidence` (0–1) in text layers.

    `font_size` (points, by the height of the characters' cells) and `bold` are known for text layers
    only; OCR leaves the box's height to go by.
    """

    text: str
    bbox: BoundingBox | None = None
    confidence: float | None = None
    font_size: float | None = None
    bold: bool = False


class Page(Contract):
    """One page as read. Formats without pages have page 1 of size 0 × 0 and no boxes."""

    page: int
    width: float
    height: float
    unit: str = "pt"
    rotation: int = 0
    source: PageSource
    engine: str
    confidence: float | None = None
    text: str
    lines: tuple[Line, ...] = ()


class PageBatch(Contract):
    """The artifact of `read` for a range of pages; `document` is the DoclingDocument JSON that a
    structured format's own backend made, which `assemble` then keeps as it is."""

    pages: tuple[Page, ...]
    document: str | None = None


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
    """The artifact of `chunk`."""

    chunks: tuple[Chunk, ...]
    embedding_model: str


class FindingKind(StrEnum):
    PERSONAL_DATA = "personal_data"
    SECRET = "secret"  # noqa: S105 - the name of a kind of finding, not a password


class Finding(Contract):
    """A place where personal data or a secret was found: where and what kind, never the value.

    `start` and `end` are code points in the page's text.
    """

    kind: FindingKind
    entity: str
    page: int
    start: int
    end: int
    score: float
    recogniser: str


class FindingList(Contract):
    """The artifact of `classify`; `incomplete` names what a recogniser could not examine."""

    findings: tuple[Finding, ...]
    incomplete: tuple[str, ...] = ()

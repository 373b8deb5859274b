"""Pages and chunks as clients see them.

Frame of every box: the page's crop box after rotation, origin top left, in points.
"""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from muniment.contracts.documents import BoundingBox, HiddenKind, PageBox, PageSource


class WordView(BaseModel):
    """A word between white space, and its place on the page."""

    text: str
    bbox: BoundingBox


class LineView(BaseModel):
    """`bbox` is absent in formats without pages, `confidence` (0–1) in text layers. `words` is empty
    where the places of words are not known, and in lists of pages."""

    text: str
    bbox: BoundingBox | None
    confidence: float | None
    words: list[WordView] = []


class HiddenTextView(BaseModel):
    """Text of the page that a reader does not see; it is in no line, passage or answer."""

    kind: HiddenKind
    text: str
    bbox: BoundingBox | None


class PageView(BaseModel):
    """A page as it was read, numbered from 1, and by which task queue (null: read before that was
    kept); `label` is the number printed on it, where the document says it; `problem` says why one
    could not be read."""

    page: int
    label: str | None = None
    width: float
    height: float
    unit: Literal["pt"] = "pt"
    rotation: int
    source: PageSource
    engine: str
    queue: str | None
    confidence: float | None
    text: str
    lines: list[LineView]
    hidden: list[HiddenTextView] = []
    problem: str | None = None


class ChunkView(BaseModel):
    """A passage: what searches find."""

    id: UUID
    ordinal: int
    text: str
    headings: list[str]
    pages: list[int]
    boxes: tuple[PageBox, ...]
    token_count: int


BOXES = TypeAdapter(tuple[PageBox, ...])
"""Reads the boxes of a chunk's row."""

"""Pages and chunks as clients see them.

Frame of every box: the page's crop box after rotation, origin top left, in points.
"""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field, TypeAdapter

from api.times import UtcTime
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


class LayerView(BaseModel):
    """What one version of an engine read of the page; the current one is what the file shows and
    searches find. Any other is given by `?layer=`, followed by its `engine` (the newest by it) or its
    `engine_version`."""

    engine: str
    engine_version: str
    source: PageSource
    confidence: float | None
    read_at: UtcTime
    is_current: bool


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
    layers: list[LayerView] = Field(
        default=[], description="The newest reading first; empty in lists of pages."
    )


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

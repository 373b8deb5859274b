"""Pages and chunks as clients see them.

Frame of every box: the page's crop box after rotation, origin top left, in points.
"""

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, TypeAdapter

from muniment.contracts.documents import BoundingBox, PageBox, PageSource


class LineView(BaseModel):
    """`bbox` is absent in formats without pages, `confidence` (0–1) in text layers."""

    text: str
    bbox: BoundingBox | None
    confidence: float | None


class PageView(BaseModel):
    """A page as it was read, numbered from 1, and by which task queue (null: read before that was
    kept); `problem` says why one could not be read."""

    page: int
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

"""Annotations, comments and the activity feed, as the API answers them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from muniment.client.models import Record
from muniment.contracts.anchor_annotations import AnchorState
from muniment.contracts.documents import BoundingBox

AnyAnchorState = Annotated[AnchorState | str, Field(union_mode="left_to_right")]


class Quote(Record):
    """Words of a page's text; `start` and `end` are code points of it."""

    exact: str
    prefix: str = ""
    suffix: str = ""
    start: int
    end: int


class Target(Record):
    """What was annotated, as it was then. Boxes are in points of the page's frame."""

    page: int
    region: BoundingBox | None = None
    quote: Quote | None = None
    boxes: Sequence[BoundingBox] = ()


class Anchor(Record):
    """Where it stands in the version: a place where `exact` or `moved`, none where `lost` or `pending`."""

    version: int
    state: AnyAnchorState
    score: float | None = None
    page: int | None = None
    region: BoundingBox | None = None
    quote: Quote | None = None
    boxes: Sequence[BoundingBox] = ()


class Author(Record):
    """`name` is None of whoever was deleted since."""

    id: UUID
    name: str | None = None


class Annotation(Record):
    """What somebody wrote on a file, a box of a page, or words; `target` None: on the whole file.
    `text_missing`: what it quotes is sealed and could not be opened now, so that no quote is there."""

    id: UUID
    file_id: UUID
    version: int
    target: Target | None = None
    anchor: Anchor
    text_missing: bool = False
    body: str = ""
    tags: Sequence[str] = ()
    colour: str | None = None
    author: Author | None = None
    state: str = "open"
    comments: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Comment(Record):
    """An answer below an annotation."""

    id: UUID
    annotation_id: UUID
    file_id: UUID
    author: Author | None = None
    body: str
    created_at: datetime | None = None


class ActivityEntry(Record):
    """What was done to a file, by whom (None: by nobody); `name` is what it is called now."""

    id: UUID
    at: datetime
    kind: str
    file_id: UUID
    name: str
    version: int | None = None
    actor: Author | None = None
    subject_id: UUID | None = None
    job_id: UUID | None = None

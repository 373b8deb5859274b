"""Annotations and comments as clients see them, by the selectors of W3C's Web Annotation Data Model where
they fit: `quote` is a TextQuoteSelector with the offsets of a TextPositionSelector.

Frame of every box: the page's crop box after rotation, origin top left, in points.
"""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from api.storable_text import LARGEST_INTEGER, StorableText
from api.times import UtcTime
from muniment.contracts.anchor_annotations import AnchorState
from muniment.contracts.documents import BoundingBox

MAX_BODY_CHARACTERS = 10_000
MAX_QUOTE_CHARACTERS = 5_000
MAX_CONTEXT_CHARACTERS = 500
MAX_TAGS = 20
_LONGEST_SIDE = 1_000_000.0

Body = Annotated[StorableText, Field(max_length=MAX_BODY_CHARACTERS)]
Tag = Annotated[StorableText, Field(min_length=1, max_length=50)]
Tags = Annotated[list[Tag], Field(max_length=MAX_TAGS)]
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$", examples=["#ffd54f"])]
Context = Annotated[StorableText, Field(max_length=MAX_CONTEXT_CHARACTERS)]
Side = Annotated[float, Field(ge=0, le=_LONGEST_SIDE, allow_inf_nan=False)]
PageNumber = Annotated[int, Field(ge=1, le=LARGEST_INTEGER)]


class AnnotationState(StrEnum):
    OPEN = "open"
    RESOLVED = "resolved"


class NewQuote(BaseModel):
    """Words of a page, however white space and line ends go. Where they stand on it more than once,
    `prefix` and `suffix` (what stands before and behind), or `start`, say which are meant."""

    model_config = ConfigDict(extra="forbid")

    exact: Annotated[StorableText, Field(min_length=1, max_length=MAX_QUOTE_CHARACTERS)]
    prefix: Context = ""
    suffix: Context = ""
    start: Annotated[
        int | None,
        Field(ge=0, le=LARGEST_INTEGER, description="Code point of the page's text."),
    ] = None


class NewTarget(BaseModel):
    """What of a page is annotated: a box of it, words of it, or both."""

    model_config = ConfigDict(extra="forbid")

    page: PageNumber
    region: tuple[Side, Side, Side, Side] | None = None
    quote: NewQuote | None = None

    @model_validator(mode="after")
    def _has_a_place(self) -> "NewTarget":
        if self.region is None and self.quote is None:
            raise ValueError("a target has a region, a quote, or both")
        return self

    @field_validator("region")
    @classmethod
    def _is_a_box(cls, region: BoundingBox | None) -> BoundingBox | None:
        if region is not None and not (region[0] < region[2] and region[1] < region[3]):
            raise ValueError("a region is [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        return region


class NewAnnotation(BaseModel):
    """Without `target` it is one on the whole file."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "file_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11",
                    "target": {"page": 3, "quote": {"exact": "may be terminated by either party"}},
                    "body": "Since when?",
                    "tags": ["legal"],
                },
                {
                    "file_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11",
                    "target": {"page": 1, "region": [72, 90, 300, 140]},
                    "colour": "#ffd54f",
                },
            ]
        },
    )

    file_id: UUID
    target: NewTarget | None = None
    body: Body = ""
    tags: Tags = []
    colour: Colour | None = None


class AnnotationChange(BaseModel):
    """What is absent stays. What it is made on never changes. The text, the tags and the colour are its
    author's to change; `state` is for whoever may write the file, too."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"state": "resolved"}, {"body": "Since 2019.", "tags": []}]
        },
    )

    body: Body | SkipJsonSchema[None] = None
    tags: Tags | SkipJsonSchema[None] = None
    colour: Colour | None = None
    state: AnnotationState | SkipJsonSchema[None] = None

    @field_validator("body", "tags", "state")
    @classmethod
    def _has_a_value(cls, given: object) -> object:
        """What is absent is not looked at."""
        if given is None:
            raise ValueError("cannot be taken away")
        return given


class Quote(BaseModel):
    """Words of a page's text; `start` and `end` are code points of it."""

    exact: str
    prefix: str
    suffix: str
    start: int
    end: int


class FoundWords(BaseModel):
    """Words of another reading's page; `start` and `end` are code points of its text."""

    exact: str
    start: int
    end: int


class Target(BaseModel):
    """What was annotated, as it was then; it never changes. `quote` of a region alone are the words that
    stood in it. `boxes` are those of the quote's lines, where the reading gives places of words."""

    page: int
    region: BoundingBox | None
    quote: Quote | None
    boxes: list[BoundingBox]


class Anchor(BaseModel):
    """Where the annotation stands in that version as it is read now. `score` (0–1): how alike the words
    are. Of one that is `lost` or `pending` there is no place, and of one on the whole file none is needed."""

    version: int
    state: AnchorState
    score: float | None = None
    page: int | None = None
    region: BoundingBox | None = None
    quote: FoundWords | None = None
    boxes: list[BoundingBox] = []


class Author(BaseModel):
    """`name` is null of whoever was deleted since."""

    id: UUID
    name: str | None


class Annotation(BaseModel):
    """`version` is the one that it was made on. `author` is null where nobody knows any more.
    `text_missing`: its collection has texts sealed, and what it quotes could not be opened now; `quote` is
    null then."""

    id: UUID
    file_id: UUID
    version: int
    target: Target | None
    anchor: Anchor
    text_missing: bool = False
    body: str
    tags: list[str]
    colour: str | None
    author: Author | None
    state: AnnotationState
    resolved_by: UUID | None
    resolved_at: UtcTime | None
    comments: int
    created_at: UtcTime
    updated_at: UtcTime


class CommentBody(BaseModel):
    """What a comment says."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"body": "Since 2019."}]}
    )

    body: Annotated[StorableText, Field(min_length=1, max_length=MAX_BODY_CHARACTERS)]


class Comment(BaseModel):
    """An answer below an annotation."""

    id: UUID
    annotation_id: UUID
    file_id: UUID
    author: Author | None
    body: str
    created_at: UtcTime
    updated_at: UtcTime

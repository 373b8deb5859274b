"""A batch as clients see it."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.storable_text import StorableText
from api.times import UtcTime
from muniment.contracts.ingest_batch import BatchState
from muniment.objects.importing.interface import MAX_KEY_CHARACTERS, is_usable_key

MAX_FILES = 10_000


def _stays_inside(prefix: str) -> str:
    """The last name of a prefix may be cut anywhere, so it may be empty."""
    if prefix and not is_usable_key(prefix.removesuffix("/")):
        raise ValueError("a prefix is made of names joined by /, none of them empty, . or ..")
    return prefix


class SourcePrefix(BaseModel):
    """Objects that lie in a place that the operator named (`MUNIMENT_IMPORTS__SOURCES`): all whose
    names there begin with `prefix`. A name becomes its file's."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[StorableText, Field(min_length=1, max_length=64)]
    prefix: Annotated[str, Field(max_length=MAX_KEY_CHARACTERS), AfterValidator(_stays_inside)] = ""
    collection: Annotated[
        StorableText,
        Field(min_length=1, description="Name or id of the collection the files come into."),
    ] = "default"


class NewBatch(BaseModel):
    """Either files that are uploaded already, in the order in which they are to be read, or objects
    of a source, which are taken in first."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"files": ["0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11"], "priority": 2},
                {"source": {"name": "scans", "prefix": "2024/"}},
            ]
        },
    )

    files: Annotated[list[UUID], Field(min_length=1, max_length=MAX_FILES)] | None = None
    source: SourcePrefix | None = None
    priority: int = Field(default=3, ge=1, le=5)

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.files is None) is (self.source is None):
            raise ValueError("a batch names either files or a source")
        return self


class BatchCountsView(BaseModel):
    """`queued` have not begun; `running` are at work or paused; `waiting` wait for a person;
    `failed` could not be read, or not be taken in; `gone` were trashed or erased before their turn.
    They sum to `total`, but for files erased since. While a source is listed, `total` grows."""

    total: int
    queued: int
    running: int
    waiting: int
    done: int
    failed: int
    cancelled: int
    gone: int


class LeftOutObject(BaseModel):
    """An object that did not become a file; `problem` is a problem type's last part."""

    name: str
    problem: str


class BatchSource(BaseModel):
    """Where a batch's files come from. `listed` once all objects are known; `truncated` when more
    lie there than one batch takes; `problem` says why the listing ended early. `problems` counts
    what kept objects from being files, and `left_out` names the first hundred of them (only where
    one batch is shown)."""

    name: str
    prefix: str
    collection_id: UUID | None
    listed: bool
    truncated: bool
    problem: str | None
    problems: dict[str, int]
    left_out: list[LeftOutObject] | None = None


class Batch(BaseModel):
    """A batch. Its files' jobs are jobs as all others, and are told and retried as such."""

    id: UUID
    state: BatchState
    priority: int
    workflow_id: str
    temporal_url: str | None
    files: BatchCountsView
    source: BatchSource | None
    percent: Annotated[float, Field(ge=0, le=100)]
    created_at: UtcTime
    started_at: UtcTime | None
    finished_at: UtcTime | None

"""What the API answers, as the contract writes it.

Unknown fields are ignored and absent ones have defaults, so that an older client reads a newer
server. States are enums where this release knows them and plain text where it does not.
"""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from muniment.contracts.documents import BoundingBox
from muniment.contracts.jobs import FileState, JobState, StageName, StageState

Item = TypeVar("Item")

# Left to right, since pydantic would else take plain text for the closer match.
_KNOWN_FIRST = Field(union_mode="left_to_right")
AnyFileState = Annotated[FileState | str, _KNOWN_FIRST]
AnyJobState = Annotated[JobState | str, _KNOWN_FIRST]
AnyStageState = Annotated[StageState | str, _KNOWN_FIRST]
AnyStageName = Annotated[StageName | str, _KNOWN_FIRST]


class Record(BaseModel):
    """Immutable, and tolerant of fields that it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Tagged(Record):
    """`etag` names this state of it, as the answers to get, create and change tell; elsewhere, in lists
    above all, it is None."""

    etag: str | None = None


class Problem(Record):
    """RFC 9457 members, and what to do about it."""

    type: str = "about:blank"
    title: str = ""
    status: int | None = None
    detail: str = ""
    remedy: str | None = None
    request_id: str | None = None
    retryable: bool = False
    errors: tuple[dict[str, JsonValue], ...] = ()


class Stage(Record):
    """One stage of a job. `done` and `total` count the stage's own units (pages for `read`)."""

    name: AnyStageName
    state: AnyStageState = StageState.PENDING
    done: int = 0
    total: int = 0
    attempts: int = 0
    queue: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: Problem | None = None


class PageCounts(Record):
    """`done` counts pages read or reused, never failed ones."""

    total: int = 0
    done: int = 0
    failed: int = 0
    reused: int = 0


class Job(Record):
    """A piece of work. `percent` is 0–100 and never falls; terminal states never change."""

    id: UUID
    kind: str = "ingest_file"
    workflow_id: str | None = None
    run_id: str | None = None
    temporal_url: str | None = None
    priority: int | None = None
    file_id: UUID | None = None
    version: int | None = None
    state: AnyJobState
    stage: AnyStageName | None = None
    stages: tuple[Stage, ...] = ()
    pages: PageCounts = PageCounts()
    percent: float = 0.0
    eta_seconds: float | None = None
    degraded: bool = False
    stale: bool = False
    retry_of: UUID | None = None
    error: Problem | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_terminal(self) -> bool:
        return isinstance(self.state, JobState) and self.state.is_terminal


class BatchCounts(Record):
    """How a batch's files fare; `failed` counts what could not be taken in, too."""

    total: int = 0
    queued: int = 0
    running: int = 0
    waiting: int = 0
    done: int = 0
    failed: int = 0
    cancelled: int = 0
    gone: int = 0


class LeftOut(Record):
    """An object that did not become a file."""

    name: str
    problem: str


class BatchSource(Record):
    """Where a batch's files come from; `total` grows until it is `listed`. `left_out` names objects
    that did not become files where one batch was asked for, `problems` counts all of them."""

    name: str
    prefix: str = ""
    listed: bool = False
    truncated: bool = False
    problem: str | None = None
    problems: dict[str, int] = {}
    left_out: tuple[LeftOut, ...] | None = None


class Batch(Record):
    """Many files through one window. `state` is queued, running, paused, completed or cancelled."""

    id: UUID
    state: str
    priority: int = 3
    workflow_id: str | None = None
    temporal_url: str | None = None
    files: BatchCounts = BatchCounts()
    source: BatchSource | None = None
    percent: float = 0.0
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        return self.finished_at is not None

    @property
    def is_whole(self) -> bool:
        """Whether every file came to ready, and nothing was left out."""
        left = self.source is not None and (self.source.truncated or bool(self.source.problem))
        return self.is_over and not left and self.files.done == self.files.total


class Scan(Record):
    """The verdict of the virus scan. `reason` is a word such as `malware` or `encrypted`, `signature` what
    was found, or the setting of the scanner in question; both None where it is clean."""

    state: str = "unscanned"
    engine: str | None = None
    database: str | None = None
    signature: str | None = None
    reason: str | None = None
    at: datetime | None = None


class Parent(Record):
    """The archive or message that a file came out of, and its path in there."""

    file_id: UUID
    path: str


class File(Tagged):
    """A file in its newest version. `sha256` is hex; `deduplicated` says that it was there. `tier` is hot
    or cold; `retrieval` of what is cold is archived, in_progress, retrieved or readable; None in lists."""

    id: UUID
    name: str
    media_type: str | None = None
    size: int = 0
    sha256: str | None = None
    version: int = 1
    state: AnyFileState
    collection: str | None = None
    collection_id: UUID | None = None
    metadata: dict[str, JsonValue] = {}
    extracted: dict[str, JsonValue] = {}
    labels: tuple[str, ...] = ()
    pages: int | None = None
    scan: Scan | None = None
    tier: str = "hot"
    retrieval: str | None = None
    degraded: bool = False
    deduplicated: bool | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    job: Job | None = None
    parent: Parent | None = None
    retention: dict[str, JsonValue] = {}
    held: bool = False
    holds: tuple[UUID, ...] = ()


class Version(Record):
    """One immutable content of a file, numbered from 1."""

    file_id: UUID | None = None
    version: int
    name: str | None = None
    media_type: str | None = None
    size: int = 0
    sha256: str | None = None
    pages: int | None = None
    scan: Scan | None = None
    published_at: datetime | None = None
    created_at: datetime | None = None


class Word(Record):
    text: str
    bbox: BoundingBox


class Line(Record):
    """A line of text; `bbox` in the page's unit, `confidence` 0–1. `words` is filled where a single
    page is asked for and their places are known."""

    text: str
    bbox: BoundingBox | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = ()


class HiddenText(Record):
    """Text of a page that nobody sees, and why."""

    kind: str
    text: str
    bbox: BoundingBox | None = None


class Layer(Record):
    """What one version of an engine read of a page."""

    engine: str
    engine_version: str = ""
    source: str = "text"
    confidence: float | None = None
    read_at: datetime | None = None
    is_current: bool = False


class Page(Record):
    """A page as read; the frame is the crop box after rotation, origin top left. `problem` says why
    it could not be read, `queue` who read it."""

    page: int
    label: str | None = None
    width: float = 0.0
    height: float = 0.0
    unit: str = "pt"
    rotation: int = 0
    source: str = "text"
    engine: str | None = None
    queue: str | None = None
    confidence: float | None = None
    text: str = ""
    lines: tuple[Line, ...] = ()
    hidden: tuple[HiddenText, ...] = ()
    problem: str | None = None
    layers: tuple[Layer, ...] = ()


class PageBox(Record):
    page: int
    bbox: BoundingBox


class Chunk(Record):
    """A passage with the pages and boxes it came from."""

    chunk_id: UUID | None = Field(default=None, alias="id")
    ordinal: int | None = None
    text: str
    headings: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()
    boxes: tuple[PageBox, ...] = ()
    token_count: int | None = None


class Listing(Record, Generic[Item]):
    """A part of a list, newest first; `next_cursor` is None at its end."""

    data: tuple[Item, ...] = ()
    next_cursor: str | None = None


class Scores(Record):
    lexical: float | None = None
    vector: float | None = None
    rerank: float | None = None


class Duplicate(Record):
    """A passage that says the same as a hit, and is not shown."""

    chunk_id: UUID
    file_id: UUID
    version: int = 1
    name: str = ""
    pages: tuple[int, ...] = ()


class Neighbour(Record):
    """A passage that stands before or after a hit."""

    chunk_id: UUID
    text: str = ""
    pages: tuple[int, ...] = ()


class Section(Record):
    """The text under the headings of a hit."""

    headings: tuple[str, ...] = ()
    text: str = ""
    pages: tuple[int, ...] = ()
    truncated: bool = False


class HitContext(Record):
    """What stands around a hit, where it was asked for."""

    before: tuple[Neighbour, ...] = ()
    after: tuple[Neighbour, ...] = ()
    section: Section | None = None


class Hit(Record):
    """A passage found. `highlights` are (start, end) in code points of `text`. `sealed`: of a collection
    with `encrypted_text`; `text_missing`: it could not be opened now."""

    chunk_id: UUID
    file_id: UUID
    version: int = 1
    name: str = ""
    text: str = ""
    headings: tuple[str, ...] = ()
    highlights: tuple[tuple[int, int], ...] = ()
    score: float | None = None
    pages: tuple[int, ...] = ()
    boxes: tuple[PageBox, ...] = ()
    scores: Scores | None = None
    sealed: bool = False
    text_missing: bool = False
    injection_suspected: bool = False
    duplicates: int = 0
    """How many passages say the same; the first ten of them in `also_in`."""
    also_in: tuple[Duplicate, ...] = ()
    context: HitContext | None = None
    explanation: dict[str, JsonValue] | None = None
    """Where it was asked for."""


class UnderstoodQuery(Record):
    """What a query was taken for."""

    words: str = ""
    prefixes: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


class SearchResult(Record):
    """`understood` is None where the query is words and nothing was looked for but these."""

    data: tuple[Hit, ...] = ()
    mode_used: str | None = None
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    truncated: bool = False
    understood: UnderstoodQuery | None = None
    timings_ms: dict[str, float] = {}
    cached: bool = False
    explanation: dict[str, JsonValue] | None = None


class Citation(Record):
    """Where a sentence of an answer stands: the quoted words are on that page, word for word, when
    `verified`."""

    n: int
    chunk_id: UUID
    file_id: UUID
    version: int | None = None
    name: str = ""
    page: int | None = None
    boxes: tuple[PageBox, ...] = ()
    quote: str = ""
    verified: bool = False
    injection_suspected: bool = False


class TokenCount(Record):
    """What the model read and wrote."""

    prompt: int = 0
    completion: int = 0


class AnswerMeta(Record):
    model: str | None = None
    provider: str | None = None
    prompt: str | None = None
    mode: str | None = None
    cached: bool | Literal["semantic"] = False
    cached_distance: float | None = None
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    truncated: bool = False
    unknown_marks: int = 0
    timings_ms: dict[str, float] = {}
    tokens: TokenCount | None = None


class Answer(Record):
    """An answer from the documents; `sources` are the passages it was drawn from."""

    answer: str = ""
    citations: tuple[Citation, ...] = ()
    sources: tuple[Hit, ...] = ()
    meta: AnswerMeta = AnswerMeta()

    def source_of(self, citation: Citation) -> Hit | None:
        """The passage that a citation quotes."""
        by_chunk = {source.chunk_id: source for source in self.sources}
        by_file = {source.file_id: source for source in self.sources}
        return by_chunk.get(citation.chunk_id) or by_file.get(citation.file_id)

"""Vector stores as OpenAI's clients see them. Times are seconds since 1970."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.collections.schemas import CollectionName
from api.openai_compatible.attributes import Attributes, Notes, ShownAttributes
from retrieval.request import SearchMode

MAX_FILES_AT_ONCE = 500
MAX_RESULTS = 50
MAX_QUERIES = 10
MAX_QUERY_CHARACTERS = 4_096

FileIds = Annotated[
    list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MAX_FILES_AT_ONCE)
]
FileState = Literal["in_progress", "completed", "cancelled", "failed"]


class Asked(BaseModel):
    """What a client sends: fields that are not known are refused, not ignored."""

    model_config = ConfigDict(extra="forbid")


class FileCounts(BaseModel):
    """Of the files that the caller may read."""

    in_progress: int = 0
    completed: int = 0
    cancelled: int = 0
    failed: int = 0
    total: int = 0


class VectorStore(BaseModel):
    """A collection. `usage_bytes`: its files' own length. It does not expire."""

    id: str
    object: Literal["vector_store"] = "vector_store"
    created_at: int
    name: str
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["in_progress", "completed"]
    metadata: dict[str, str]
    last_active_at: int | None = None
    expires_after: None = None
    expires_at: None = None


class NewVectorStore(Asked):
    """`name`: of one collection in a tenant; without it one is made up. `expires_after` and a
    `chunking_strategy` other than `auto` are refused. `description` is not kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Leases"}]})

    name: CollectionName | None = None
    file_ids: Annotated[
        list[Annotated[str, Field(max_length=64)]], Field(max_length=MAX_FILES_AT_ONCE)
    ] = []
    metadata: Notes | None = None
    description: str | None = Field(default=None, max_length=10_000)
    expires_after: JsonValue = None
    chunking_strategy: JsonValue = None


class VectorStoreChange(Asked):
    """What is absent or null stays; `metadata` is replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"metadata": {"matter": "A-17"}}]})

    name: CollectionName | None = None
    metadata: Notes | None = None
    expires_after: JsonValue = None


class DeletedVectorStore(BaseModel):
    id: str
    object: Literal["vector_store.deleted"] = "vector_store.deleted"
    deleted: Literal[True] = True


class LastError(BaseModel):
    """`invalid_file`: the file is at fault, or withheld; `server_error`: a retry may help."""

    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class OtherChunking(BaseModel):
    """Chunks follow the structure of the document."""

    type: Literal["other"] = "other"


class VectorStoreFile(BaseModel):
    """A file of a store; `id` is the file's. `attributes` are its metadata."""

    id: str
    object: Literal["vector_store.file"] = "vector_store.file"
    created_at: int
    vector_store_id: str
    usage_bytes: int
    status: FileState
    last_error: LastError | None
    attributes: ShownAttributes
    chunking_strategy: OtherChunking = OtherChunking()


class NewVectorStoreFile(Asked):
    """With `attributes` the file's become these: that needs the level `write` on the file, without them
    `read` is enough."""

    file_id: str = Field(max_length=64)
    attributes: Attributes | None = None
    chunking_strategy: JsonValue = None


class VectorStoreFileChange(Asked):
    """Null takes them all away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"attributes": {"year": 2026}}]})

    attributes: Attributes | None


class DetachedFile(BaseModel):
    """The file itself stays."""

    id: str
    object: Literal["vector_store.file.deleted"] = "vector_store.file.deleted"
    deleted: Literal[True] = True


class NewFileBatch(Asked):
    """Either `file_ids`, with what holds for all of them, or `files`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"file_ids": ["file-0198c5f27a3e7c4b9d510a6f4e2b8c11"]}]}
    )

    file_ids: FileIds | None = None
    attributes: Attributes | None = None
    chunking_strategy: JsonValue = None
    files: (
        Annotated[list[NewVectorStoreFile], Field(min_length=1, max_length=MAX_FILES_AT_ONCE)]
        | None
    ) = None


class FileBatch(BaseModel):
    """`completed` as soon as none of its files is in progress any more: `file_counts` say how each ended.
    A file that was deleted, taken out of the store or out of sight is counted as cancelled."""

    id: str
    object: Literal["vector_store.files_batch"] = "vector_store.files_batch"
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "cancelled", "failed"]
    file_counts: FileCounts


class HybridSearch(Asked):
    """Weights of the search by meaning and of that by words."""

    embedding_weight: float = Field(ge=0, le=1000)
    text_weight: float = Field(ge=0, le=1000)


class RankingOptions(Asked):
    """`ranker`: any of them is Muniment's own. `score_threshold`: of the best results those
    below it are left out; scores are relative to the best of this search."""

    ranker: Literal["none", "auto", "default-2024-11-15"] = "auto"
    score_threshold: float = Field(default=0.0, ge=0, le=1)
    hybrid_search: HybridSearch | None = None


class VectorStoreSearch(Asked):
    """`filters`: comparisons of attributes, joined by `and` and `or` (docs/openai.md). Several queries are
    searched for as one. None is rewritten: `search_query` of the answer is what was searched for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "when does the lease end?"}]}
    )

    query: (
        Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARACTERS)]
        | Annotated[
            list[Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARACTERS)]],
            Field(min_length=1, max_length=MAX_QUERIES),
        ]
    )
    max_num_results: int = Field(default=10, ge=1, le=MAX_RESULTS)
    filters: dict[str, JsonValue] | None = None
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = False


class FoundText(BaseModel):
    type: Literal["text"] = "text"
    text: str


class FoundPassage(BaseModel):
    """A passage; `score` is between 0 and 1, and `pages` are those it stands on."""

    file_id: str
    filename: str
    score: float = Field(ge=0, le=1)
    attributes: ShownAttributes
    content: list[FoundText]
    pages: list[int]


class SearchCircumstances(BaseModel):
    """How it was searched, which OpenAI's form has no place for: what took no part, and whether not
    everything could be looked at."""

    mode_used: SearchMode
    degraded: bool
    reasons: list[str]
    truncated: bool


class SearchResults(BaseModel):
    """The best first; all there is."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[FoundPassage]
    has_more: Literal[False] = False
    next_page: None = None
    muniment: SearchCircumstances


class FileContent(BaseModel):
    """All text of a file, in one piece."""

    object: Literal["vector_store.file_content.page"] = "vector_store.file_content.page"
    data: list[FoundText]
    has_more: Literal[False] = False
    next_page: None = None

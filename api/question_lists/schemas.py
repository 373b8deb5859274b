"""Lists of questions as clients start and read them."""

from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.storable_text import LARGEST_INTEGER
from api.times import UtcTime
from muniment.contracts.answer_questions import ListState
from retrieval.request import Generate

_LIST: dict[str, JsonValue] = {
    "id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11",
    "state": "failed",
    "reason": "the principal whose questions they are has been disabled",
    "created_at": "2026-11-20T12:00:00Z",
    "finished_at": "2026-11-20T12:01:00Z",
    "expires_at": "2026-11-27T12:01:00Z",
    "questions": 200,
    "done": 150,
    "answered": 138,
    "unanswered": 11,
    "failed": 1,
    "erased": 0,
    "percent": 75.0,
    "tokens": 41_000,
    "max_tokens": 100_000,
    "collection": "default",
    "generate": "auto",
    "top_k": 8,
}


class QuestionList(BaseModel):
    """A list of questions that is being answered, or was. `reason` says why it is paused or failed, null
    where a person paused it. Its answers are forgotten at `expires_at`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LIST]})

    id: UUID
    state: ListState
    reason: str | None
    created_at: UtcTime
    finished_at: UtcTime | None
    expires_at: UtcTime
    questions: int
    done: int = Field(description="Questions that were asked.")
    answered: int
    unanswered: int = Field(description="Those of which the documents say nothing.")
    failed: int = Field(description="Those that could not be asked.")
    erased: int = Field(description="Those whose answers went with a file that was erased.")
    percent: float
    tokens: int = Field(description="What language models read and wrote for it.")
    max_tokens: int | None
    collection: str | None
    generate: Generate
    top_k: int


class Resumption(BaseModel):
    """How a list goes on."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"max_tokens": 200_000}]}
    )

    max_tokens: int | None = Field(
        default=None,
        ge=1,
        le=LARGEST_INTEGER,
        description="What the whole list may cost from now on; without it as before.",
    )

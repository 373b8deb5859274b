"""Feedback as clients give and read it."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from api.evaluations.schemas import EvaluationQuestion
from api.storable_text import LARGEST_INTEGER, StorableText
from api.times import UtcTime
from muniment.contracts.conversations import Verdict

_MESSAGE_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c23"
_FILE_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c25"
_SOURCE: dict[str, JsonValue] = {"file_id": _FILE_ID, "page": 2}
_FEEDBACK: dict[str, JsonValue] = {
    "id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c26",
    "message_id": _MESSAGE_ID,
    "principal_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c27",
    "verdict": "down",
    "text": "The lease was prolonged.",
    "text_missing": False,
    "expected_source": _SOURCE,
    "created_at": "2026-11-20T12:02:00Z",
    "updated_at": "2026-11-20T12:02:00Z",
}


class ExpectedSource(BaseModel):
    """Where an answer should have come from."""

    model_config = ConfigDict(extra="forbid")

    file_id: UUID
    page: int | None = Field(default=None, ge=1, le=LARGEST_INTEGER)


class NewFeedback(BaseModel):
    """Of an answer in one of the caller's conversations. It takes the place of what was said of it before."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "message_id": _MESSAGE_ID,
                    "verdict": "down",
                    "text": "The lease was prolonged.",
                    "expected_source": _SOURCE,
                }
            ]
        },
    )

    message_id: UUID
    verdict: Verdict
    text: Annotated[StorableText, Field(min_length=1, max_length=4_000)] | None = None
    expected_source: ExpectedSource | None = None

    @model_validator(mode="after")
    def _is_about_what_was_missing(self) -> Self:
        if self.expected_source is not None and self.verdict is Verdict.UP:
            raise ValueError("`expected_source` says what a wrong answer should have been made of")
        return self


class Feedback(BaseModel):
    """`text_missing`: its key could not be had now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_FEEDBACK]})

    id: UUID
    message_id: UUID
    principal_id: UUID
    verdict: Verdict
    text: str | None
    text_missing: bool = False
    expected_source: ExpectedSource | None
    created_at: UtcTime
    updated_at: UtcTime


class FeedbackQuestions(BaseModel):
    """Questions with the documents that answer them, as people said: a body of `POST /v1/evaluations` once it
    has a `name`. `next_cursor` is null on the last page."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "identified_by": "id",
                    "questions": [
                        {
                            "id": _MESSAGE_ID,
                            "text": "when does the lease end?",
                            "relevant": {_FILE_ID: 1},
                            "answers": [],
                        }
                    ],
                    "next_cursor": "eyJhdCI6IjIwMjYtMTEtMjAifQ",
                }
            ]
        }
    )

    identified_by: str
    questions: list[EvaluationQuestion]
    next_cursor: str | None

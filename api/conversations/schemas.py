"""Conversations as clients see them."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from api.storable_text import StorableText
from api.times import UtcTime
from muniment.contracts.conversations import MessageRole, MessageState, Verdict
from retrieval.request import MAX_TOP_K, Generate, Query, QuestionRequest
from retrieval.response import Answer, Citation

MAX_TITLE_CHARACTERS = 200

_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c21"
_QUESTION_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c22"
_ANSWER_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c23"
_CHUNK_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c24"
_FILE_ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c25"
_CONVERSATION: dict[str, JsonValue] = {
    "id": _ID,
    "title": "When does the lease of Oak Street end?",
    "text_missing": False,
    "messages": 2,
    "created_at": "2026-11-20T12:00:00Z",
    "updated_at": "2026-11-20T12:01:00Z",
}
_MESSAGE: dict[str, JsonValue] = {
    "id": _ANSWER_ID,
    "conversation_id": _ID,
    "parent_id": _QUESTION_ID,
    "ordinal": 1,
    "role": "answer",
    "state": "completed",
    "text": "The lease ends on 31 March 2027. [1]",
    "withheld": False,
    "text_missing": False,
    "citations": [
        {
            "n": 1,
            "chunk_id": _CHUNK_ID,
            "file_id": _FILE_ID,
            "version": 1,
            "name": "lease.pdf",
            "page": 2,
            "boxes": [],
            "quote": "The lease ends on 31 March 2027.",
            "verified": True,
            "injection_suspected": False,
        }
    ],
    "provenance": {
        "asked": "And when does it end? (lease Oak Street)",
        "rewritten_by": "rule",
        "model": "qwen3:8b",
        "provider": "own",
        "prompt": "answer-1",
        "mode": "hybrid",
        "degraded": False,
        "reasons": [],
        "truncated": False,
        "unknown_marks": 0,
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "sources": [
            {
                "n": 1,
                "chunk_id": _CHUNK_ID,
                "file_id": _FILE_ID,
                "version": 1,
                "name": "lease.pdf",
                "pages": [2],
                "injection_suspected": False,
            }
        ],
    },
    "feedback": "up",
    "created_at": "2026-11-20T12:01:00Z",
}

Title = Annotated[StorableText, Field(min_length=1, max_length=MAX_TITLE_CHARACTERS)]


class NewConversation(BaseModel):
    """Without a title it gets the beginning of its first question."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "Oak Street"}]}
    )

    title: Title | None = None


class ConversationChange(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"title": "Oak Street"}]}
    )

    title: Title


class Conversation(BaseModel):
    """`title` is null before the first question, and where its key could not be had now (`text_missing`)."""

    model_config = ConfigDict(json_schema_extra={"examples": [_CONVERSATION]})

    id: UUID
    title: str | None
    text_missing: bool = False
    messages: int
    created_at: UtcTime
    updated_at: UtcTime


class Source(BaseModel):
    """A passage that was read for an answer; `n` is what citations of a language model call it by."""

    n: int
    chunk_id: UUID
    file_id: UUID
    version: int
    name: str
    pages: list[int]
    injection_suspected: bool


class MessageProvenance(BaseModel):
    """How an answer came to be. `asked` is what was searched for and answered: the question, or, where it
    goes on from former ones, the question in their context. `sources` that the caller may not read any more
    are left out."""

    asked: str
    rewritten_by: str | None = Field(
        description="Null where the question was taken as it is; else `rule`, or the name of the"
        " language model that put it in its context."
    )
    model: str
    provider: str | None
    prompt: str | None
    mode: str
    degraded: bool
    reasons: list[str]
    truncated: bool
    unknown_marks: int
    prompt_tokens: int
    completion_tokens: int
    sources: list[Source]


class Message(BaseModel):
    """A question, or an answer to the question `parent_id`. `withheld`: it may say what stands in a file that
    the caller may not read now, so it is not shown. `text_missing`: its key could not be had now."""

    model_config = ConfigDict(json_schema_extra={"examples": [_MESSAGE]})

    id: UUID
    conversation_id: UUID
    parent_id: UUID | None
    ordinal: int
    role: MessageRole
    state: MessageState
    text: str | None
    withheld: bool = False
    text_missing: bool = False
    citations: list[Citation] = []
    provenance: MessageProvenance | None = None
    feedback: Verdict | None = None
    created_at: UtcTime


class AskingAgain(BaseModel):
    """A further answer to a question that was asked before."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"generate": "auto", "stream": False}]}
    )

    top_k: int = Field(default=8, ge=1, le=MAX_TOP_K)
    collection: str | None = Field(default=None, max_length=200)
    filter: dict[str, JsonValue] = Field(default_factory=dict, max_length=50)
    generate: Generate = Generate.AUTO
    stream: bool = False

    def question(self, query: Query) -> QuestionRequest:
        return QuestionRequest(
            query=query,
            top_k=self.top_k,
            collection=self.collection,
            filter=self.filter,
            generate=self.generate,
        )


class ExportFormat(StrEnum):
    JSON = "json"
    MARKDOWN = "markdown"


class ConversationAnswer(Answer):
    """An answer, and the messages of the conversation that it and its question became. `asked` is what was
    searched for and answered."""

    conversation_id: UUID
    question_id: UUID
    message_id: UUID
    asked: str

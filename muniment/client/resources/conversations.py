"""`/v1/conversations` and `/v1/feedback`: questions in a row, and what their answers are worth."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, id_text, matching, post, segment
from muniment.client.models import Answer, Citation, Listing, Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing, read_text
from muniment.client.protocol import Call
from muniment.client.resources.answers import Generate, query_body

_PATH = "/v1/conversations"
_FEEDBACK = "/v1/feedback"

Verdict = Literal["up", "down"]
ExportFormat = Literal["json", "markdown"]


class Conversation(Tagged):
    """`text_missing`: its title is sealed and could not be opened now."""

    id: UUID
    title: str | None = None
    text_missing: bool = False
    messages: int = 0
    created_at: datetime | None = None
    updated_at: datetime | None = None


class Source(Record):
    """A passage that was read for an answer."""

    n: int
    chunk_id: UUID
    file_id: UUID
    version: int = 1
    name: str = ""
    pages: Sequence[int] = ()
    injection_suspected: bool = False


class MessageProvenance(Record):
    """How an answer came to be; `asked` is what was searched for."""

    asked: str = ""
    rewritten_by: str | None = None
    model: str = ""
    provider: str | None = None
    prompt: str | None = None
    mode: str = ""
    degraded: bool = False
    reasons: Sequence[str] = ()
    truncated: bool = False
    unknown_marks: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    sources: Sequence[Source] = ()


class Message(Record):
    """A question, or an answer to the question `parent_id`. `withheld`: it may quote what you may not read
    now."""

    id: UUID
    conversation_id: UUID | None = None
    parent_id: UUID | None = None
    ordinal: int = 0
    role: str = ""
    state: str = ""
    text: str | None = None
    withheld: bool = False
    text_missing: bool = False
    citations: Sequence[Citation] = ()
    provenance: MessageProvenance | None = None
    feedback: str | None = None
    created_at: datetime | None = None


class ConversationAnswer(Answer):
    """An answer, and the messages that it and its question became."""

    conversation_id: UUID | None = None
    question_id: UUID | None = None
    message_id: UUID | None = None
    asked: str = ""


class ExpectedSource(Record):
    """Where an answer should have come from."""

    file_id: UUID
    page: int | None = None


class Feedback(Record):
    """What somebody said of an answer."""

    id: UUID
    message_id: UUID
    principal_id: UUID | None = None
    verdict: str = ""
    text: str | None = None
    text_missing: bool = False
    expected_source: ExpectedSource | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None


class FeedbackQuestion(Record):
    """A question, and the files that answer it, by their ids."""

    id: str
    text: str
    relevant: dict[str, float]
    answers: Sequence[str] = ()


class FeedbackQuestions(Record):
    """What an evaluation asks, once it has a name."""

    identified_by: str = "id"
    questions: Sequence[FeedbackQuestion] = ()
    next_cursor: str | None = None


def create_conversation(title: str | None = None) -> Call[Conversation]:
    return create(_PATH, Conversation, given(title=title))


def list_conversations(
    *, query: str | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Conversation]]:
    """Your own, newest first; with `query` those in which its words stand."""
    parameters = {"query": query, "limit": limit, "cursor": cursor}
    return get(_PATH, Listing[Conversation], parameters)


def get_conversation(conversation_id: Id) -> Call[Conversation]:
    return get(_path(conversation_id), Conversation)


def rename_conversation(
    conversation_id: Id, title: str, *, etag: str | None = None
) -> Call[Conversation]:
    return Call(
        "PATCH",
        _path(conversation_id),
        read_model(Conversation),
        json={"title": title},
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_conversation(conversation_id: Id) -> Call[None]:
    """With its messages, for good."""
    return Call("DELETE", _path(conversation_id), read_nothing)


def export_conversation(conversation_id: Id, format: ExportFormat = "markdown") -> Call[str]:  # noqa: A002 - the parameter's name
    """As text: JSON with every message, or Markdown of the newest course."""
    path = f"{_path(conversation_id)}/export"
    return Call("GET", path, read_text, parameters={"format": format})


def ask_in_conversation(
    conversation_id: Id,
    question: str,
    *,
    follows: Id | None = None,
    edits: Id | None = None,
    top_k: int = 8,
    generate: Generate = "auto",
) -> Call[ConversationAnswer]:
    """Behind the newest answer, behind `follows`, or in the place of the question `edits`."""
    place = given(
        conversation_id=str(conversation_id), follows=id_text(follows), edits=id_text(edits)
    )
    json = query_body(question, top_k, generate) | place
    return Call("POST", "/v1/query", read_model(ConversationAnswer), json=json, repeatable=False)


def regenerate(
    conversation_id: Id, question_id: Id, *, top_k: int = 8, generate: Generate = "auto"
) -> Call[ConversationAnswer]:
    """A further answer to a question."""
    path = f"{_message(conversation_id, question_id)}/regenerate"
    json: JsonValue = {"top_k": top_k, "generate": generate}
    return Call("POST", path, read_model(ConversationAnswer), json=json, repeatable=False)


def list_messages(
    conversation_id: Id, *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Message]]:
    """Newest first."""
    path = f"{_path(conversation_id)}/messages"
    return get(path, Listing[Message], {"limit": limit, "cursor": cursor})


def get_message(conversation_id: Id, message_id: Id) -> Call[Message]:
    return get(_message(conversation_id, message_id), Message)


def give_feedback(
    message_id: Id,
    verdict: Verdict,
    *,
    text: str | None = None,
    expected_file: Id | None = None,
    expected_page: int | None = None,
) -> Call[Feedback]:
    """Of an answer, in the place of what was said before. `expected_file`: what it should have come from."""
    source: JsonValue = None
    if expected_file is not None:
        source = {"file_id": str(expected_file), "page": expected_page}
    json: dict[str, JsonValue] = {"message_id": str(message_id), "verdict": verdict}
    return post(_FEEDBACK, Feedback, json | given(text=text, expected_source=source))


def list_feedback(
    *, verdict: Verdict | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Feedback]]:
    """Newest first."""
    parameters = {"verdict": verdict, "limit": limit, "cursor": cursor}
    return get(_FEEDBACK, Listing[Feedback], parameters)


def feedback_questions(
    *, verdict: Verdict | None = None, limit: int = 50, cursor: str | None = None
) -> Call[FeedbackQuestions]:
    """Questions of which is known what answers them, for `evaluations.start`."""
    parameters = {"verdict": verdict, "limit": limit, "cursor": cursor}
    return get(f"{_FEEDBACK}/questions", FeedbackQuestions, parameters)


def delete_feedback(feedback_id: Id) -> Call[None]:
    return Call("DELETE", f"{_FEEDBACK}/{segment(feedback_id)}", read_nothing)


def _path(conversation_id: Id) -> str:
    return f"{_PATH}/{segment(conversation_id)}"


def _message(conversation_id: Id, message_id: Id) -> str:
    return f"{_path(conversation_id)}/messages/{segment(message_id)}"


def message_path(conversation_id: Id, message_id: Id) -> str:
    """Where an answer's events are."""
    return f"{_message(conversation_id, message_id)}/events"


def socket_path(conversation_id: Id) -> str:
    """Where its WebSocket is."""
    return f"{_path(conversation_id)}/socket"


class ConversationOperations:
    """`/v1/conversations`."""

    create = Operation(create_conversation)
    list = Operation(list_conversations)
    get = Operation(get_conversation)
    rename = Operation(rename_conversation)
    delete = Operation(delete_conversation)
    export = Operation(export_conversation)
    ask = Operation(ask_in_conversation)
    regenerate = Operation(regenerate)
    messages = Operation(list_messages)
    message = Operation(get_message)


class FeedbackOperations:
    """`/v1/feedback`."""

    give = Operation(give_feedback)
    list = Operation(list_feedback)
    questions = Operation(feedback_questions)
    delete = Operation(delete_feedback)


class Feedbacks(FeedbackOperations, Resource):
    """`/v1/feedback`."""


class AsyncFeedbacks(FeedbackOperations, AsyncResource):
    """`/v1/feedback`."""

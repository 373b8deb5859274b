"""`/v1/question-lists`: the questions of a CSV file, answered one after another."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from uuid import UUID

from muniment.client.actions import Stream
from muniment.client.building import Id, get, given, post, segment
from muniment.client.events import Event, ResumedStream
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import parse_model, read_model, read_nothing, read_text
from muniment.client.protocol import Call, Protocol
from muniment.client.resources.answers import Generate

_PATH = "/v1/question-lists"


class QuestionList(Record):
    """`reason` says why it is paused or failed. Its answers are there once `finished_at` is set, until
    `expires_at`."""

    id: UUID
    state: str
    reason: str | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    expires_at: datetime | None = None
    questions: int = 0
    done: int = 0
    answered: int = 0
    unanswered: int = 0
    failed: int = 0
    erased: int = 0
    percent: float = 0.0
    tokens: int = 0
    max_tokens: int | None = None
    collection: str | None = None
    generate: str = "auto"
    top_k: int = 8


def start_question_list(
    questions: bytes,
    *,
    charset: str = "utf-8",
    collection: str | None = None,
    generate: Generate = "auto",
    top_k: int = 8,
    max_tokens: int | None = None,
    keep_days: int | None = None,
) -> Call[QuestionList]:
    """`questions` is a CSV file: its first row names the columns, of which `question` is needed."""
    return Call(
        "POST",
        _PATH,
        read_model(QuestionList),
        parameters={
            "collection": collection,
            "generate": generate,
            "top_k": top_k,
            "max_tokens": max_tokens,
            "keep_days": keep_days,
        },
        headers={"Content-Type": f"text/csv; charset={charset}"},
        content=questions,
        creates=True,
    )


def list_question_lists(
    *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[QuestionList]]:
    """Newest first."""
    return get(_PATH, Listing[QuestionList], {"limit": limit, "cursor": cursor})


def get_question_list(list_id: Id) -> Call[QuestionList]:
    return get(f"{_PATH}/{segment(list_id)}", QuestionList)


def get_answers(list_id: Id) -> Call[str]:
    """A CSV file with a row for each question."""
    return Call("GET", f"{_PATH}/{segment(list_id)}/answers", read_text)


def pause_question_list(list_id: Id) -> Call[QuestionList]:
    return post(f"{_PATH}/{segment(list_id)}/pause", QuestionList)


def resume_question_list(list_id: Id, *, max_tokens: int | None = None) -> Call[QuestionList]:
    """With `max_tokens` it may cost as many from then on."""
    return post(f"{_PATH}/{segment(list_id)}/resume", QuestionList, given(max_tokens=max_tokens))


def cancel_question_list(list_id: Id) -> Call[QuestionList]:
    return post(f"{_PATH}/{segment(list_id)}/cancel", QuestionList)


def delete_question_list(list_id: Id) -> Call[None]:
    """With its questions and answers."""
    return Call("DELETE", f"{_PATH}/{segment(list_id)}", read_nothing)


class QuestionListOperations:
    """`/v1/question-lists`."""

    start = Operation(start_question_list)
    list = Operation(list_question_lists)
    get = Operation(get_question_list)
    answers = Operation(get_answers)
    pause = Operation(pause_question_list)
    resume = Operation(resume_question_list)
    cancel = Operation(cancel_question_list)
    delete = Operation(delete_question_list)


class QuestionLists(QuestionListOperations, Resource):
    """`/v1/question-lists`."""

    def events(self, list_id: Id) -> Iterator[QuestionList]:
        """The list as it is now, and whenever it has changed, until its end."""
        return self._run.iterate(_events(self._protocol, list_id))


class AsyncQuestionLists(QuestionListOperations, AsyncResource):
    """`/v1/question-lists`."""

    def events(self, list_id: Id) -> AsyncIterator[QuestionList]:
        """The list as it is now, and whenever it has changed, until its end."""
        return self._run.iterate(_events(self._protocol, list_id))


def _events(protocol: Protocol, list_id: Id) -> Stream[QuestionList]:
    path = f"{_PATH}/{segment(list_id)}/events"
    return ResumedStream(protocol, path, _as_told, ends=True).run()


def _as_told(event: Event) -> QuestionList:
    return parse_model(QuestionList, json.dumps(event.data))

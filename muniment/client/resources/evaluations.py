"""`/v1/evaluations`: how good searches and answers are, by sets of questions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, post, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_nothing, read_text
from muniment.client.protocol import Call
from muniment.client.resources.answers import SearchMode

_PATH = "/v1/evaluations"

EvaluatedAnswers = Literal["none", "extractive", "auto"]


class Metric(Record):
    """A figure of a run; `before` is that of the last completed run of the same set."""

    name: str
    value: float
    before: float | None = None
    difference: float | None = None
    is_worse: bool = False


class Evaluation(Record):
    """A run over a set of questions. `metrics` are there once it has ended."""

    id: UUID
    set_id: UUID | None = None
    name: str = ""
    state: str
    created_at: datetime | None = None
    finished_at: datetime | None = None
    questions: int = 0
    done: int = 0
    nightly: bool = False
    mode: str = "hybrid"
    collection: str | None = None
    answers: str = "none"
    judge: bool = False
    identified_by: str = "name"
    tolerance: float = 0.0
    compared_with: UUID | None = None
    index_version_id: UUID | None = None
    metrics: tuple[Metric, ...] = ()
    notes: tuple[str, ...] = ()


def start_evaluation(
    name: str,
    questions: Sequence[Mapping[str, JsonValue]],
    *,
    identified_by: str = "name",
    mode: SearchMode = "hybrid",
    collection: str | None = None,
    answers: EvaluatedAnswers = "none",
    judge: bool = False,
    nightly: bool = False,
    tolerance: float | None = None,
) -> Call[Evaluation]:
    """Each question has `id`, `text`, and `relevant` (grades by document) or `answers`."""
    json: dict[str, JsonValue] = {
        "name": name,
        "questions": [{**question} for question in questions],
        "identified_by": identified_by,
        "mode": mode,
        "answers": answers,
        "judge": judge,
        "nightly": nightly,
    }
    return create(_PATH, Evaluation, json | given(collection=collection, tolerance=tolerance))


def list_evaluations(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Evaluation]]:
    """Newest first."""
    return get(_PATH, Listing[Evaluation], {"limit": limit, "cursor": cursor})


def get_evaluation(evaluation_id: Id) -> Call[Evaluation]:
    return get(f"{_PATH}/{segment(evaluation_id)}", Evaluation)


def get_evaluation_report(evaluation_id: Id) -> Call[str]:
    """A page of HTML that needs nothing from elsewhere."""
    return Call("GET", f"{_PATH}/{segment(evaluation_id)}/report", read_text)


def cancel_evaluation(evaluation_id: Id) -> Call[Evaluation]:
    return post(f"{_PATH}/{segment(evaluation_id)}/cancel", Evaluation)


def delete_evaluation(evaluation_id: Id) -> Call[None]:
    """The set with its questions, and all of its runs."""
    return Call("DELETE", f"{_PATH}/{segment(evaluation_id)}", read_nothing)


class EvaluationOperations:
    """`/v1/evaluations`."""

    start = Operation(start_evaluation)
    list = Operation(list_evaluations)
    get = Operation(get_evaluation)
    report = Operation(get_evaluation_report)
    cancel = Operation(cancel_evaluation)
    delete = Operation(delete_evaluation)


class Evaluations(EvaluationOperations, Resource):
    """`/v1/evaluations`."""


class AsyncEvaluations(EvaluationOperations, AsyncResource):
    """`/v1/evaluations`."""

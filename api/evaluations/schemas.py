"""Evaluations as clients start and read them."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, model_validator

from api.storable_text import StorableText
from api.times import UtcTime
from muniment.contracts.evaluate_retrieval import EvaluatedAnswers, EvaluationState
from retrieval.request import Query, SearchMode

MAX_QUESTIONS = 2_000
MAX_JUDGEMENTS = 1_000
MAX_ANSWERS = 20

_QUESTION: dict[str, JsonValue] = {
    "id": "q1",
    "text": "when does the lease end?",
    "relevant": {"lease.pdf": 1},
    "answers": ["March 2027"],
}
_EVALUATION: dict[str, JsonValue] = {
    "id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11",
    "set_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c12",
    "name": "leases",
    "state": "completed",
    "created_at": "2026-11-20T12:00:00Z",
    "finished_at": "2026-11-20T12:01:00Z",
    "questions": 200,
    "done": 200,
    "nightly": True,
    "mode": "hybrid",
    "collection": "default",
    "answers": "none",
    "judge": False,
    "identified_by": "name",
    "tolerance": 0.02,
    "compared_with": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c10",
    "index_version_id": "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c0f",
    "metrics": [
        {"name": "ndcg@10", "value": 0.71, "before": 0.74, "difference": -0.03, "is_worse": True}
    ],
    "notes": [],
}

Identifier = Annotated[StorableText, Field(min_length=1, max_length=500)]
Grade = Annotated[float, Field(gt=0, le=1_000)]


class EvaluationQuestion(BaseModel):
    """A question, the grades of the documents that answer it, and answers that are right; one of both at
    least."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [_QUESTION]})

    id: Identifier
    text: Annotated[Query, StringConstraints(max_length=2_000)]
    relevant: dict[Identifier, Grade] = Field(
        default_factory=dict,
        max_length=MAX_JUDGEMENTS,
        description="By document (`identified_by`) its grade.",
    )
    answers: list[Annotated[StorableText, Field(min_length=1, max_length=2_000)]] = Field(
        default_factory=list, max_length=MAX_ANSWERS
    )

    @model_validator(mode="after")
    def _says_what_is_right(self) -> Self:
        if not self.relevant and not self.answers:
            raise ValueError("a question needs `relevant` documents or `answers` to be measured by")
        return self


class NewEvaluation(BaseModel):
    """A set of questions, and how they are asked: under the caller's rights. The same questions asked in the
    same way are the same set, whose runs are compared with each other."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "leases", "questions": [_QUESTION]}]},
    )

    name: Annotated[StorableText, Field(min_length=1, max_length=200)]
    questions: list[EvaluationQuestion] = Field(min_length=1, max_length=MAX_QUESTIONS)
    identified_by: str = Field(
        default="name",
        pattern=r"^(name|id|metadata\.[A-Za-z0-9_.-]{1,100})$",
        description="What `relevant` calls documents by: `name` of the file, with or without its ending,"
        " its `id`, or `metadata.` and a field, as in `metadata.external_id`.",
        examples=["name"],
    )
    mode: SearchMode = SearchMode.HYBRID
    collection: Annotated[StorableText, Field(max_length=200)] | None = None
    answers: EvaluatedAnswers = EvaluatedAnswers.NONE
    judge: bool = Field(
        default=False,
        description="Have a language model say whether answers are supported by their passages. Costs the"
        " tenant's tokens.",
    )
    nightly: bool = Field(default=False, description="Run it again every night.")
    tolerance: float = Field(
        default=0.02, ge=0, le=1, description="A share that fell by more is marked as worse."
    )

    @model_validator(mode="after")
    def _names_each_question_once(self) -> Self:
        if len({each.id for each in self.questions}) < len(self.questions):
            raise ValueError("two questions have the same id")
        if self.judge and self.answers is EvaluatedAnswers.NONE:
            raise ValueError("`judge` needs `answers`: there is nothing to judge")
        return self


class Metric(BaseModel):
    """A figure of the run. `before`: of the last completed run of the same set."""

    name: str
    value: float
    before: float | None
    difference: float | None
    is_worse: bool


class Evaluation(BaseModel):
    """A run over a set. `metrics` are there once it has ended; shares lie between 0 and 1, times are in
    milliseconds. `notes` say what could not be measured."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EVALUATION]})

    id: UUID
    set_id: UUID
    name: str
    state: EvaluationState
    created_at: UtcTime
    finished_at: UtcTime | None
    questions: int
    done: int = Field(description="Questions that were asked.")
    nightly: bool
    mode: SearchMode
    collection: str | None
    answers: EvaluatedAnswers
    judge: bool
    identified_by: str
    tolerance: float
    compared_with: UUID | None = Field(description="The run before.")
    index_version_id: UUID | None = Field(
        description="The index version that was searched by meaning, once it was begun."
    )
    metrics: list[Metric]
    notes: list[str]

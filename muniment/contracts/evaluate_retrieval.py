"""The `EvaluateRetrieval` workflow: the questions of a set are asked one by one, and what was found and
answered is measured against what the set says of each.

Histories carry ids and counts: questions, and what came of each, are in rows.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "EvaluateRetrieval"


class EvaluationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class EvaluatedAnswers(StrEnum):
    """Whether questions are answered too: not at all, of the documents' sentences, or by a language model
    where one may be asked."""

    NONE = "none"
    EXTRACTIVE = "extractive"
    AUTO = "auto"


class EvaluateRetrievalInput(Contract):
    """Without any run: those of the tenant's sets that are evaluated every night."""

    tenant_id: UUID
    run_ids: tuple[UUID, ...] = ()


class EvaluationBegun(Contract):
    """The runs to work on, in this order."""

    run_ids: tuple[UUID, ...] = ()


class EvaluateQuestionsInput(Contract):
    tenant_id: UUID
    run_id: UUID


class EvaluateQuestionsResult(Contract):
    """`is_last`: every question of the set has been asked."""

    is_last: bool
    done: int = 0
    total: int = 0


class EndEvaluationInput(Contract):
    tenant_id: UUID
    run_id: UUID
    state: EvaluationState


def workflow_id(run_id: UUID) -> str:
    """Of a run that somebody asked for."""
    return f"evaluate-retrieval-run-{run_id}"


def schedule_id(tenant_id: UUID) -> str:
    """Of the tenant's schedule; Temporal names the workflows that it starts after it."""
    return f"evaluate-retrieval-{tenant_id}"


class EvaluationActivities(ABC):
    @activity.defn(name="begin_evaluation")
    @abstractmethod
    async def begin_evaluation(self, request: EvaluateRetrievalInput) -> EvaluationBegun:
        """Those of the runs that are open; or a run of each set that is evaluated every night, new or still
        open."""

    @activity.defn(name="evaluate_questions")
    @abstractmethod
    async def evaluate_questions(self, request: EvaluateQuestionsInput) -> EvaluateQuestionsResult:
        """Asks some of the questions that were not asked yet. What came of one is committed before the next
        is asked, so that a repetition goes on there."""

    @activity.defn(name="end_evaluation")
    @abstractmethod
    async def end_evaluation(self, request: EndEvaluationInput) -> None:
        """Sums up what was measured. Idempotent: a run that is over stays as it is."""

"""The `Reindex` workflow: an index version is built beside the one that is searched, from the passages as
they are stored; then it is measured, and searched instead if that was asked for.

What is published meanwhile enters both. How far it has come is in the index version's row, so that whoever
goes on with it goes on there; histories carry ids and states.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "Reindex"
LOOK = "look"
"""The signal after which a paused one looks whether it may go on."""


class IndexState(StrEnum):
    """`ready`: as whole as the active one, and waiting to be activated. `superseded`: was searched before,
    is kept whole until its time is over, and may be gone back to. `retired`: over; its vectors go."""

    BUILDING = "building"
    READY = "ready"
    ACTIVE = "active"
    SUPERSEDED = "superseded"
    RETIRED = "retired"


class Activation(StrEnum):
    """`automatic`: as soon as it is ready and its graph finds what it should."""

    MANUAL = "manual"
    AUTOMATIC = "automatic"


class Outcome(StrEnum):
    """Of a retired one. `replaced`: it was searched once, and its time is over."""

    REPLACED = "replaced"
    CANCELLED = "cancelled"
    FAILED = "failed"


class IndexEvaluation(Contract):
    """What was measured of a new index version. `questions`: stored passages whose nearest ten were looked
    for. `overlap`: the share of those ten that the active index version finds too; `recall`: the
    share of the ten nearest by measuring all that a search finds (1 where it is too small for a graph).
    Null where there was nothing to compare, or it could not be measured; recall too where it is large and
    lacks its graph."""

    questions: int
    overlap: float | None
    recall: float | None


class ReindexInput(Contract):
    tenant_id: UUID
    index_version_id: UUID


class FillState(StrEnum):
    """`over`: it is no longer being built."""

    MORE = "more"
    PAUSED = "paused"
    FILLED = "filled"
    OVER = "over"


class FillResult(Contract):
    state: FillState


class EndReindexInput(Contract):
    tenant_id: UUID
    index_version_id: UUID
    outcome: Outcome


def workflow_id(index_version_id: UUID) -> str:
    return f"reindex-{index_version_id}"


class ReindexActivities(ABC):
    @activity.defn(name="fill_index")
    @abstractmethod
    async def fill_index(self, request: ReindexInput) -> FillResult:
        """Vectors for the next passages that have none, for some seconds at most. Each batch is kept with
        how far it came: a repetition repeats one batch at most."""

    @activity.defn(name="evaluate_index")
    @abstractmethod
    async def evaluate_index(self, request: ReindexInput) -> None:
        """Measures a filled one, and activates it if that was asked for. Idempotent."""

    @activity.defn(name="end_reindex")
    @abstractmethod
    async def end_reindex(self, request: EndReindexInput) -> None:
        """Retires one that is still being built, or measured and cancelled. Idempotent."""

"""The `MoveTier` workflow: content that is to lie in the other tier of the object store is copied there
as it is, sealed; its row is switched; and after a while what is left behind is deleted.

Histories carry ids and counts: what is on its way is in rows, so that whoever takes over goes on there.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "MoveTier"


class Tier(StrEnum):
    """`hot`: the object store. `cold`: the second one, for what is seldom asked for."""

    HOT = "hot"
    COLD = "cold"


class MoveTierInput(Contract):
    """`after`: a run that was continued as new goes on behind that blob."""

    tenant_id: UUID
    after: UUID | None = None


class PlanMovesResult(Contract):
    """How many more blobs are to be moved by the policy."""

    planned: int


class MoveBatchInput(Contract):
    tenant_id: UUID
    after: UUID | None = None


class MoveBatchResult(Contract):
    """`last`: the blob behind which the next batch begins; none once all had their turn in this run."""

    last: UUID | None = None
    moved: int = 0
    deleted: int = 0


def schedule_id(tenant_id: UUID) -> str:
    """Of the tenant's schedule; Temporal names the workflows that it starts after it."""
    return f"move-tier-{tenant_id}"


class TierActivities(ABC):
    @activity.defn(name="plan_moves")
    @abstractmethod
    async def plan_moves(self, request: MoveTierInput) -> PlanMovesResult:
        """Notes what the policy wants moved; idempotent."""

    @activity.defn(name="move_batch")
    @abstractmethod
    async def move_batch(self, request: MoveBatchInput) -> MoveBatchResult:
        """Takes the next blobs on by a step each; what is done is in rows, so that a repetition goes on
        where the last attempt ended."""

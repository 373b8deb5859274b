"""The `RetentionSweep` workflow: what becomes of a tenant's files that nothing keeps any more.

Histories carry ids and seconds: how far a sweep has come, what it found and what was decided is in rows.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "RetentionSweep"
LOOK = "look"
"""The signal by which whoever decided says so; what was decided is in the decision's row alone."""


class SweepState(StrEnum):
    """It judges all files first, waits for a person where too many are due, and then acts. One that nobody
    decided about in time has `expired`."""

    JUDGING = "judging"
    WAITING = "waiting"
    ACTING = "acting"
    COMPLETED = "completed"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class DispositionState(StrEnum):
    """Of a file whose policies want a review; `withdrawn`: it is gone, or kept again."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


class RetentionVerdict(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class RetentionSweepInput(Contract):
    tenant_id: UUID


class SweepBegun(Contract):
    """The sweep to work on; none where another workflow is at the tenant's, or nothing is to become of any
    file."""

    sweep_id: UUID | None = None


class SweepStep(Contract):
    tenant_id: UUID
    sweep_id: UUID


class SweepStepDone(Contract):
    """`wait_seconds`: so long may be waited for a decision before the next step."""

    is_over: bool = False
    wait_seconds: float = 0


def workflow_id(sweep_id: UUID) -> str:
    """Of a sweep that somebody asked for."""
    return f"retention-sweep-run-{sweep_id}"


def schedule_id(tenant_id: UUID) -> str:
    """Of the tenant's schedule; Temporal names the workflows that it starts after it."""
    return f"retention-sweep-{tenant_id}"


class RetentionActivities(ABC):
    @activity.defn(name="begin_retention_sweep")
    @abstractmethod
    async def begin_retention_sweep(self, request: RetentionSweepInput) -> SweepBegun:
        """The tenant's open sweep, taken over where the workflow that had it is gone, or a new one."""

    @activity.defn(name="step_retention_sweep")
    @abstractmethod
    async def step_retention_sweep(self, request: SweepStep) -> SweepStepDone:
        """The next files: what becomes of them, and how far the sweep has come, is one transaction, so that a
        repetition goes on where that ended."""

    @activity.defn(name="cancel_retention_sweep")
    @abstractmethod
    async def cancel_retention_sweep(self, request: SweepStep) -> None:
        """Idempotent: a sweep that is over stays as it is."""

"""The `VerifyIntegrity` workflow: some of a tenant's blobs are read again from the store and compared
with what was stored. It reports, and never repairs.

Histories carry ids and counts: which blobs are next, and how far a run has come, is in rows.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "VerifyIntegrity"


class VerificationState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class FaultKind(StrEnum):
    """What is wrong with a blob. `unreadable`: the store answers, but fails on this object;
    `key-missing`: its wrapped key is gone and nobody erased it."""

    SEAL_BROKEN = "seal-broken"
    CONTENT_DIFFERS = "content-differs"
    OBJECT_MISSING = "object-missing"
    KEY_MISSING = "key-missing"
    UNREADABLE = "unreadable"


class VerifyIntegrityInput(Contract):
    tenant_id: UUID


class VerificationBegun(Contract):
    """The run to work on; none while another workflow is at the tenant's."""

    run_id: UUID | None = None


class VerifyBatchInput(Contract):
    tenant_id: UUID
    run_id: UUID


class VerifyBatchResult(Contract):
    """`is_last`: the run has looked at all that it was to look at."""

    is_last: bool
    blobs: int = 0
    faults: int = 0


class EndVerificationInput(Contract):
    tenant_id: UUID
    run_id: UUID
    state: VerificationState


def workflow_id(run_id: UUID) -> str:
    """Of a run that somebody asked for."""
    return f"verify-integrity-run-{run_id}"


def schedule_id(tenant_id: UUID) -> str:
    """Of the tenant's schedule; Temporal names the workflows that it starts after it."""
    return f"verify-integrity-{tenant_id}"


class IntegrityActivities(ABC):
    @activity.defn(name="begin_verification")
    @abstractmethod
    async def begin_verification(self, request: VerifyIntegrityInput) -> VerificationBegun:
        """The tenant's open run, taken over where the workflow that had it is gone, or a new one."""

    @activity.defn(name="verify_batch")
    @abstractmethod
    async def verify_batch(self, request: VerifyBatchInput) -> VerifyBatchResult:
        """Looks at the next blobs; what it found and how far the run has come is one transaction,
        so that a repetition goes on where that ended."""

    @activity.defn(name="end_verification")
    @abstractmethod
    async def end_verification(self, request: EndVerificationInput) -> None:
        """Idempotent: a run that is over stays as it is."""

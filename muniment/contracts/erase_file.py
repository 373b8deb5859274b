"""The `EraseFile` workflow: every store that keeps anything of a file forgets it."""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "EraseFile"
ERASURE_SIGNAL = "erasure_requested"
"""Sent to a running ingestion of the file, which then cancels itself."""


HOLD_SIGNAL = "hold_changed"
"""Sent to an erasure when a hold was placed or has ended: it looks whether it may go on."""


class ErasureState(StrEnum):
    """`destroying`: past the point of no return, where no hold stops it any more."""

    HELD = "held"
    EXECUTING = "executing"
    DESTROYING = "destroying"
    COMPLETED = "completed"


class EraseFileInput(Contract):
    tenant_id: UUID
    file_id: UUID
    job_id: UUID


class ErasureStep(Contract):
    """A registered store, by name; it is to forget every version of the file."""

    request: EraseFileInput
    store: str


class ErasurePlan(Contract):
    """The stores by name, in the order in which they are to be run; running ingestions to stop.

    Versions are not listed: there may be many, and each store finds them itself.
    """

    stores: tuple[str, ...]
    running_workflow_ids: tuple[str, ...]


class EraseFileResult(Contract):
    """What died and what lives on because another file of the tenant holds the same content.

    `ciphertexts_left`: of blobs whose keys died, in the cold tier, because it was away (not mounted, say);
    nobody can open them, and the sweep takes them once it is back.
    """

    keys_destroyed: int
    blobs_kept: int
    ciphertexts_left: int = 0


class HeldErasure(Contract):
    """Whether something still keeps the file."""

    is_held: bool


class ErasureActivities(ABC):
    """Those before `hold_erasure` raise a failure of the type `muniment.contracts.failures.FILE_HELD` where
    something keeps the file."""

    @activity.defn(name="plan_erasure")
    @abstractmethod
    async def plan_erasure(self, request: EraseFileInput) -> ErasurePlan: ...

    @activity.defn(name="erase_from_store")
    @abstractmethod
    async def erase_from_store(self, step: ErasureStep) -> None:
        """Idempotent: erasing what is gone changes nothing."""

    @activity.defn(name="destroy_unreferenced_keys")
    @abstractmethod
    async def destroy_unreferenced_keys(self, request: EraseFileInput) -> EraseFileResult:
        """Destroys the wrapped key, then the ciphertext, of every blob whose last reference went."""

    @activity.defn(name="hold_erasure")
    @abstractmethod
    async def hold_erasure(self, request: EraseFileInput) -> HeldErasure:
        """While something keeps the file: it is restricted, and the erasure waits."""

    @activity.defn(name="finish_erasure")
    @abstractmethod
    async def finish_erasure(self, request: EraseFileInput) -> None:
        """Marks the file erased, completes the job, appends to the erasure ledger."""

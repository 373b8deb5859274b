"""The `IngestBatch` workflow: thousands of files through a sliding window of ingestions.

Its history and payloads hold ids of what is at work, never the list: that lies in the database, and
is admitted from there a window at a time.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract, VersionReference

WORKFLOW = "IngestBatch"
PAUSE_UPDATE = "pause"
RESUME_UPDATE = "resume"
CANCEL_UPDATE = "cancel"
STOP_SIGNAL = "stop"
"""From another workflow: the batch is to end as if a person had cancelled it."""


class BatchState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in (BatchState.COMPLETED, BatchState.FAILED, BatchState.CANCELLED)


class RunningFile(Contract):
    """An ingestion that the batch waits for."""

    job_id: UUID
    workflow_id: str


class AdmittedFile(Contract):
    """A file that comes into the window. One whose ingestion was under way already is not started
    again, only waited for."""

    version: VersionReference
    workflow_id: str
    starts: bool


class IngestBatchInput(Contract):
    """`imports` where the files are objects of a source first. `running`, `listed`, `paused` and
    `stopped` are carried over when the workflow continues as new."""

    tenant_id: UUID
    batch_id: UUID
    priority: int = 3
    imports: bool = False
    listed: bool = False
    running: tuple[RunningFile, ...] = ()
    paused: bool = False
    stopped: bool = False


class BatchReference(Contract):
    tenant_id: UUID
    batch_id: UUID


class TakeInInput(Contract):
    """At most `limit` objects become files."""

    tenant_id: UUID
    batch_id: UUID
    limit: int


class AdmitInput(Contract):
    """At most `limit` new files; those at work for the batch and not in `running` come on top, as
    when the answer of an earlier call was lost."""

    tenant_id: UUID
    batch_id: UUID
    running: tuple[UUID, ...]
    limit: int


class AdmitResult(Contract):
    """`is_last` when no file is left to be admitted."""

    files: tuple[AdmittedFile, ...]
    is_last: bool


class WatchInput(Contract):
    tenant_id: UUID
    job_ids: tuple[UUID, ...]


class WatchResult(Contract):
    """Jobs that ended, or wait for a person and so need no place in the window."""

    over: tuple[UUID, ...]


class RecordBatchInput(Contract):
    tenant_id: UUID
    batch_id: UUID
    state: BatchState


class BatchActivities(ABC):
    @activity.defn(name="admit_files")
    @abstractmethod
    async def admit_files(self, request: AdmitInput) -> AdmitResult:
        """Commits the jobs of the next files. Idempotent by what is passed as running."""

    @activity.defn(name="watch_jobs")
    @abstractmethod
    async def watch_jobs(self, request: WatchInput) -> WatchResult:
        """Returns once at least one job is over; nothing is over after a set time, too."""

    @activity.defn(name="record_batch")
    @abstractmethod
    async def record_batch(self, request: RecordBatchInput) -> None:
        """Writes the batch's row; one that has ended is never written again."""


class ImportActivities(ABC):
    @activity.defn(name="list_objects")
    @abstractmethod
    async def list_objects(self, request: BatchReference) -> None:
        """Notes the source's objects as the batch's, page by page, each in a transaction with the
        place reached: another attempt goes on from there. What can never succeed ends the listing
        and is noted as the batch's problem."""

    @activity.defn(name="take_in_objects")
    @abstractmethod
    async def take_in_objects(self, request: TakeInInput) -> None:
        """Makes files of the next objects, each with its job in one transaction. An object that
        cannot be taken in is noted with its problem. Fewer than allowed when it takes long."""


def workflow_id(batch_id: UUID) -> str:
    return f"batch-{batch_id}"

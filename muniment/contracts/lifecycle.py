"""What a workflow writes about the job itself: pauses, waits, decisions and the end."""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract, StageOutcome, VersionReference
from muniment.contracts.jobs import JobProgress


class RecordProgressInput(Contract):
    version: VersionReference
    progress: JobProgress


class AnnounceResult(StageOutcome):
    """Whether something of the file's pages is annotated, which then stands elsewhere, perhaps."""

    is_annotated: bool = False


class Verdict(StrEnum):
    RELEASE = "release"
    REJECT = "reject"


class Waiting(StrEnum):
    """What a job waits for a decision about: what its scan said, or what was found in its document."""

    SCAN = "scan"
    FINDINGS = "findings"


class ReadDecisionInput(Contract):
    tenant_id: UUID
    job_id: UUID
    decision_id: UUID
    about: Waiting = Waiting.SCAN


class Decision(Contract):
    """A person's decision, as the API wrote it under that person's rights."""

    decision_id: UUID
    verdict: Verdict


class LifecycleActivities(ABC):
    @activity.defn(name="announce_version")
    @abstractmethod
    async def announce_version(self, version: VersionReference) -> AnnounceResult:
        """Writes the tenant's activity feed; of a share of the versions, commits a comparison of
        their reading with a candidate's, where one is set."""

    @activity.defn(name="record_progress")
    @abstractmethod
    async def record_progress(self, request: RecordProgressInput) -> None:
        """Writes the job's row and its `state` event; a terminal state also settles the file's state
        and ends the event stream. Writing the same state twice changes nothing; a terminal state
        never changes."""

    @activity.defn(name="read_decision")
    @abstractmethod
    async def read_decision(self, request: ReadDecisionInput) -> Decision:
        """Raises NotFound when no such decision was recorded for this job, or none about what it waits
        for now: whoever merely reaches Temporal's port cannot decide."""

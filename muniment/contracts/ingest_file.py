"""The `IngestFile` workflow: its input, result, messages and query."""

from uuid import UUID

from muniment.contracts.base import Contract, VersionReference
from muniment.contracts.jobs import JobState

WORKFLOW = "IngestFile"
PROGRESS_QUERY = "progress"
PAUSE_UPDATE = "pause"
RESUME_UPDATE = "resume"
REPRIORITISE_UPDATE = "reprioritise"
RELEASE_UPDATE = "release"
REJECT_UPDATE = "reject"


class IngestFileInput(Contract):
    """`priority` is 1 (first) to 5."""

    version: VersionReference
    priority: int = 3


class IngestFileResult(Contract):
    state: JobState
    degraded: bool
    page_count: int
    chunk_count: int


class ReprioritiseRequest(Contract):
    priority: int


class DecisionRequest(Contract):
    """Names the decision row that the API wrote; the workflow acts once an activity has read it."""

    decision_id: UUID


def workflow_id(version_id: UUID) -> str:
    """The id of a version's first ingestion."""
    return f"ingest-{version_id}"


def retry_workflow_id(version_id: UUID, job_id: UUID) -> str:
    """The id of a job that heals an earlier one."""
    return f"ingest-{version_id}-{job_id}"

"""New ingestions and comparisons as they are committed: the row is the intent to start, whatever
happens next."""

from dataclasses import dataclass
from uuid import UUID

from db.models import File, FileVersion, Job, new_id
from muniment.contracts import compare_reading, ingest_file
from muniment.contracts.base import VersionReference
from muniment.contracts.compare_reading import ReadingCandidate
from muniment.contracts.jobs import JobKind, JobSettings, JobState
from muniment.objects import SealedBlob

DEFAULT_PRIORITY = 3
COMPARISON_PRIORITY = 5
"""The last: nobody waits for it."""


@dataclass(frozen=True)
class Origin:
    """Who asked, and in which request."""

    tenant_id: UUID
    principal_id: UUID | None
    request_id: str | None = None
    trace_parent: str | None = None


def new_ingestion(
    origin: Origin,
    version: FileVersion,
    *,
    retry_of: Job | None = None,
    first: bool | None = None,
    priority: int = DEFAULT_PRIORITY,
    settings: JobSettings | None = None,
) -> Job:
    """An ingestion of the version: its first, unless it heals another (`retry_of`), whose settings
    it then has, or `first` says otherwise."""
    job_id = new_id()
    chosen = settings.model_dump(mode="json", exclude_none=True) if settings else {}
    is_first = retry_of is None if first is None else first
    return Job(
        id=job_id,
        tenant_id=origin.tenant_id,
        kind=JobKind.INGEST_FILE,
        file_id=version.file_id,
        version_id=version.id,
        workflow_id=(
            ingest_file.workflow_id(version.id)
            if is_first
            else ingest_file.retry_workflow_id(version.id, job_id)
        ),
        state=JobState.QUEUED,
        priority=priority,
        retry_of=retry_of.id if retry_of is not None else None,
        settings=retry_of.settings if retry_of is not None else chosen,
        requested_by=origin.principal_id,
        request_id=origin.request_id,
        trace_parent=origin.trace_parent,
    )


def new_comparison(
    origin: Origin, version: VersionReference, candidate: ReadingCandidate, *, first: bool
) -> Job:
    """A comparison of the version's published reading with the candidate's."""
    job_id = new_id()
    return Job(
        id=job_id,
        tenant_id=origin.tenant_id,
        kind=JobKind.COMPARE_READING,
        file_id=version.file_id,
        version_id=version.version_id,
        workflow_id=(
            compare_reading.workflow_id(version.version_id, candidate.name)
            if first
            else compare_reading.repeated_workflow_id(version.version_id, candidate.name, job_id)
        ),
        state=JobState.QUEUED,
        priority=COMPARISON_PRIORITY,
        settings=candidate.settings().model_dump(mode="json", exclude_none=True),
        requested_by=origin.principal_id,
        request_id=origin.request_id,
        trace_parent=origin.trace_parent,
    )


def first_version(file: File, blob_id: UUID, sealed: SealedBlob) -> FileVersion:
    """The first version of a new file, whose content is that blob's."""
    return FileVersion(
        id=new_id(),
        tenant_id=file.tenant_id,
        file_id=file.id,
        number=1,
        blob_id=blob_id,
        name=file.name,
        size=sealed.size,
        sha256=sealed.sha256,
        declared_media_type=file.media_type,
    )

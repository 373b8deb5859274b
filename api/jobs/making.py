"""New jobs as they are committed: the row is the intent to start, whatever happens next."""

from opentelemetry import propagate

from api.authentication import Caller
from db.models import File, FileVersion, Job, new_id
from muniment.contracts import ingest_file
from muniment.contracts.jobs import JobKind, JobSettings, JobState
from muniment.telemetry import context

DEFAULT_PRIORITY = 3


def new_ingestion(
    caller: Caller,
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
    chosen = settings.model_dump(exclude_none=True) if settings else {}
    is_first = retry_of is None if first is None else first
    return Job(
        id=job_id,
        tenant_id=caller.tenant_id,
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
        requested_by=caller.principal_id,
        request_id=context.request_id(),
        trace_parent=trace_parent(),
    )


def trace_parent() -> str | None:
    """The present span as W3C `traceparent`."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


def new_erasure(caller: Caller, file: File, *, retry_of: Job | None = None) -> Job:
    """The erasure of a file with all its versions."""
    job_id = new_id()
    return Job(
        id=job_id,
        tenant_id=caller.tenant_id,
        kind=JobKind.ERASE_FILE,
        file_id=file.id,
        workflow_id=f"erase-{file.id}-{job_id}",
        state=JobState.QUEUED,
        priority=DEFAULT_PRIORITY,
        retry_of=retry_of.id if retry_of is not None else None,
        requested_by=caller.principal_id,
        request_id=context.request_id(),
        trace_parent=trace_parent(),
    )

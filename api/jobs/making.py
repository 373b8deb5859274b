"""New jobs as they are committed: the row is the intent to start, whatever happens next."""

from opentelemetry import propagate

from api.authentication import Caller
from db import ingestions
from db.ingestions import DEFAULT_PRIORITY, Origin
from db.models import File, FileVersion, Job, new_id
from muniment.contracts.jobs import JobKind, JobSettings, JobState
from muniment.telemetry import context


def new_ingestion(
    caller: Caller,
    version: FileVersion,
    *,
    retry_of: Job | None = None,
    first: bool | None = None,
    priority: int = DEFAULT_PRIORITY,
    settings: JobSettings | None = None,
) -> Job:
    """As `db.ingestions.new_ingestion`, asked for by this caller in this request."""
    origin = Origin(caller.tenant_id, caller.principal_id, context.request_id(), trace_parent())
    return ingestions.new_ingestion(
        origin, version, retry_of=retry_of, first=first, priority=priority, settings=settings
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

"""New jobs as they are committed: the row is the intent to start, whatever happens next."""

from opentelemetry import propagate

from api.authentication import Caller
from db import erasures, ingestions
from db.ingestions import DEFAULT_PRIORITY, Origin
from db.models import File, FileVersion, Job
from muniment.contracts.jobs import JobSettings
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
    return ingestions.new_ingestion(
        origin_of(caller),
        version,
        retry_of=retry_of,
        first=first,
        priority=priority,
        settings=settings,
    )


def origin_of(caller: Caller) -> Origin:
    return Origin(caller.tenant_id, caller.principal_id, context.request_id(), trace_parent())


def trace_parent() -> str | None:
    """The present span as W3C `traceparent`."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


def new_erasure(caller: Caller, file: File, *, retry_of: Job | None = None) -> Job:
    """As `db.erasures.new_erasure`, asked for by this caller in this request."""
    return erasures.new_erasure(origin_of(caller), file, retry_of=retry_of)

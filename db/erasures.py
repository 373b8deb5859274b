"""Erasures as they are committed: the rows are the intent to start, whatever happens next."""

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from db.audit import Act, record
from db.ingestions import DEFAULT_PRIORITY, Origin
from db.models import Erasure, File, Job, new_id, now
from db.queries.files import TO_BE_ERASED
from muniment.contracts.erase_file import ErasureState
from muniment.contracts.jobs import FileState, JobKind, JobState


class Actor(Protocol):
    """Who acts, as the audit trail is to have it."""

    def act(
        self,
        action: str,
        object_type: str,
        object_id: UUID | None,
        payload: dict[str, JsonValue] | None = None,
    ) -> Act: ...


@dataclass(frozen=True)
class System:
    """Nobody who has asked: what a policy or a schedule brings about."""

    tenant_id: UUID

    def act(
        self,
        action: str,
        object_type: str,
        object_id: UUID | None,
        payload: dict[str, JsonValue] | None = None,
    ) -> Act:
        return Act(action, object_type, object_id, self.tenant_id, payload=dict(payload or {}))


def new_erasure(origin: Origin, file: File, *, retry_of: Job | None = None) -> Job:
    """The erasure of a file with all its versions."""
    job_id = new_id()
    return Job(
        id=job_id,
        tenant_id=origin.tenant_id,
        kind=JobKind.ERASE_FILE,
        file_id=file.id,
        workflow_id=f"erase-{file.id}-{job_id}",
        state=JobState.QUEUED,
        priority=DEFAULT_PRIORITY,
        retry_of=retry_of.id if retry_of is not None else None,
        requested_by=origin.principal_id,
        request_id=origin.request_id,
        trace_parent=origin.trace_parent,
    )


async def order_erasures(
    session: AsyncSession,
    origin: Origin,
    actor: Actor,
    wanted: Sequence[File],
    kept: Container[UUID],
    why: dict[str, JsonValue] | None = None,
) -> list[tuple[Job, Erasure]]:
    """The jobs that erase those of the files, which are locked, that are not being erased already. One that
    is `kept` is restricted, and its erasure waits until nothing keeps it any more. `why` is for the audit
    trail."""
    ordered = []
    for file in wanted:
        if file.state in (*TO_BE_ERASED, FileState.ERASED):
            continue
        job, erasure = order(session, origin, file, is_kept=file.id in kept)
        payload: dict[str, JsonValue] = {
            "job_id": str(job.id),
            "state": erasure.state,
            **(why or {}),
        }
        record(session, actor.act("file.erasure_requested", "file", file.id, payload))
        ordered.append((job, erasure))
    await session.flush()
    return ordered


def order(
    session: AsyncSession, origin: Origin, file: File, *, is_kept: bool
) -> tuple[Job, Erasure]:
    """The rows of one file's erasure; whoever orders it tells the audit trail."""
    job = new_erasure(origin, file)
    file.state = FileState.RESTRICTED if is_kept else FileState.ERASING
    file.revision += 1
    file.updated_at = now()
    erasure = Erasure(
        tenant_id=origin.tenant_id,
        file_id=file.id,
        job_id=job.id,
        state=(ErasureState.HELD if is_kept else ErasureState.EXECUTING).value,
        requested_by=origin.principal_id,
    )
    session.add_all([job, erasure])
    return job, erasure

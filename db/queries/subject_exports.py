"""What goes into the copy of what there is of a person, and where that copy lies."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import (
    AuditEvent,
    Blob,
    File,
    FileVersion,
    SubjectRequest,
    SubjectRequestItem,
    now,
)
from db.queries.subject_requests import BLOB_KIND, EXPORT_ROLE
from db.queries.subject_search import UNTOLD
from muniment.contracts.subject_requests import ItemState, SubjectState
from muniment.objects import SealedBlob


async def confirmed_files(
    session: AsyncSession, request_id: UUID, after: UUID | None, limit: int
) -> Sequence[File]:
    """By their ids, behind that one. Those that are to be erased since are left out."""
    statement = (
        select(File)
        .join(SubjectRequestItem, col(SubjectRequestItem.file_id) == col(File.id))
        .where(
            col(SubjectRequestItem.request_id) == request_id,
            col(SubjectRequestItem.state) == ItemState.FOUND,
            col(File.state).not_in(UNTOLD),
        )
        .order_by(col(File.id))
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(col(File.id) > after)
    return (await session.scalars(statement)).all()


async def confirmed_bytes(session: AsyncSession, request_id: UUID) -> int:
    """Of all versions of what was confirmed."""
    found = await session.scalar(
        select(func.coalesce(func.sum(col(FileVersion.size)), 0))
        .join(SubjectRequestItem, col(SubjectRequestItem.file_id) == col(FileVersion.file_id))
        .where(
            col(SubjectRequestItem.request_id) == request_id,
            col(SubjectRequestItem.state) == ItemState.FOUND,
        )
    )
    return int(found or 0)


async def versions_of(
    session: AsyncSession, file_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[FileVersion]]:
    """By file, in their order."""
    statement = (
        select(FileVersion)
        .where(col(FileVersion.file_id).in_(file_ids))
        .order_by(col(FileVersion.file_id), col(FileVersion.number))
    )
    found: dict[UUID, list[FileVersion]] = {file_id: [] for file_id in file_ids}
    for version in await session.scalars(statement):
        found[version.file_id].append(version)
    return found


async def events_about(
    session: AsyncSession,
    file_ids: Sequence[UUID],
    after: tuple[UUID, UUID] | None,
    limit: int,
) -> Sequence[AuditEvent]:
    """Of the audit trail, by file and then in their order, behind `after` (file, event)."""
    order = tuple_(col(AuditEvent.object_id), col(AuditEvent.id))
    statement = (
        select(AuditEvent)
        .where(
            col(AuditEvent.tenant_id) == text("(SELECT current_tenant())"),
            col(AuditEvent.object_id).in_(file_ids),
        )
        .order_by(col(AuditEvent.object_id), col(AuditEvent.id))
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(order > after)
    return (await session.scalars(statement)).all()


async def has_file_to_be_erased(session: AsyncSession, request_id: UUID) -> bool:
    """Whether one of the files that the archive has is to be erased since, and nothing tells of it."""
    found = await session.scalars(
        select(col(File.id))
        .join(SubjectRequestItem, col(SubjectRequestItem.file_id) == col(File.id))
        .where(
            col(SubjectRequestItem.request_id) == request_id,
            col(SubjectRequestItem.state) == ItemState.EXPORTED,
            col(File.state).in_(UNTOLD),
        )
        .limit(1)
    )
    return found.first() is not None


async def keep_export(
    session: AsyncSession,
    found: SubjectRequest,
    made: SealedBlob,
    file_ids: Sequence[UUID],
) -> bool:
    """The request, whose row is locked, has the archive of these files, and has ended. False, and nothing is
    kept, where one of them is to be erased since."""
    # An erasure that begins waits until this is committed, and then finds the archive.
    states = await session.execute(
        text("SELECT state FROM file WHERE id = ANY(:ids) ORDER BY id FOR SHARE"),
        {"ids": list(file_ids)},
    )
    if any(state in UNTOLD for state in states.scalars()):
        return False
    session.add(
        Blob(
            id=made.blob_id,
            tenant_id=found.tenant_id,
            kind=BLOB_KIND,
            size=made.size,
            sha256=made.sha256,
            created_at=now(),
        )
    )
    await session.flush()
    await session.execute(
        text(
            "INSERT INTO blob_reference (tenant_id, blob_id, version_id, role, created_at)"
            " SELECT tenant_id, :blob_id, id, :role, now() FROM file_version"
            " WHERE file_id = ANY(:ids)"
        ),
        {"blob_id": made.blob_id, "role": EXPORT_ROLE, "ids": list(file_ids)},
    )
    await session.execute(
        text(
            "UPDATE subject_request_item SET state = 'exported'"
            " WHERE request_id = :id AND file_id = ANY(:ids) AND state = 'found'"
        ),
        {"id": found.id, "ids": list(file_ids)},
    )
    await session.execute(
        text(
            "UPDATE subject_request_item SET state = 'gone'"
            " WHERE request_id = :id AND state = 'found'"
        ),
        {"id": found.id},
    )
    found.export_blob_id, found.export_size = made.blob_id, made.size
    found.state = SubjectState.COMPLETED.value
    found.finished_at = now()
    found.expires_at = found.finished_at + timedelta(days=found.keep_days)
    await session.flush()
    return True


async def files_named(session: AsyncSession, file_ids: Sequence[UUID]) -> Sequence[File]:
    """By their ids."""
    statement = select(File).where(col(File.id).in_(file_ids)).order_by(col(File.id))
    return (await session.scalars(statement)).all()

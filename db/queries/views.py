"""Views of a version: what they are made of, and where those that were made lie."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Principal
from db.queries.stages import NewBlob
from muniment.contracts.jobs import FileState

ROLE = "view"
"""How a version's references to its views are called."""


@dataclass(frozen=True)
class ViewSource:
    """A published version with what its views are made of, while its file's row is locked against
    an erasure that would begin."""

    file_state: FileState
    media_type: str
    content_blob_id: UUID
    content_size: int
    document_blob_id: UUID | None


@dataclass(frozen=True)
class StoredView:
    """A view that was made."""

    blob_id: UUID
    size: int
    sha256: bytes


async def lock_source(session: AsyncSession, version_id: UUID) -> ViewSource | None:
    """None when the version is gone or was never published."""
    rows = await session.execute(
        text(
            "SELECT file.state, coalesce(file_version.media_type,"
            " file_version.declared_media_type), file_version.blob_id, file_version.size,"
            " file_version.document_blob_id"
            " FROM file_version JOIN file ON file.id = file_version.file_id"
            " WHERE file_version.id = :version_id AND file_version.published_at IS NOT NULL"
            " FOR SHARE OF file"
        ),
        {"version_id": version_id},
    )
    row = rows.one_or_none()
    return None if row is None else ViewSource(FileState(row[0]), row[1], row[2], row[3], row[4])


async def name_of_sharer(session: AsyncSession, principal_id: UUID) -> str | None:
    found = await session.scalars(
        select(col(Principal.name)).where(col(Principal.id) == principal_id)
    )
    return found.one_or_none()


async def stored_blob(session: AsyncSession, blob_id: UUID) -> StoredView | None:
    """An artifact that is a view as it was stored; None once it was destroyed."""
    rows = await session.execute(
        text("SELECT id, size, sha256 FROM blob WHERE id = :id AND destroyed_at IS NULL"),
        {"id": blob_id},
    )
    row = rows.one_or_none()
    return None if row is None else StoredView(row[0], row[1], bytes(row[2]))


async def find_view(session: AsyncSession, version_id: UUID, fingerprint: str) -> StoredView | None:
    """The view, where this version refers to it already: one that only another file keeps alive
    would die with that file."""
    rows = await session.execute(
        text(
            "SELECT blob.id, blob.size, blob.sha256 FROM stage_result"
            " JOIN blob ON blob.id = stage_result.blob_id"
            " JOIN blob_reference ON blob_reference.blob_id = blob.id"
            " WHERE stage_result.tenant_id = (SELECT current_tenant())"
            " AND stage_result.fingerprint = :fingerprint AND blob.destroyed_at IS NULL"
            " AND blob_reference.version_id = :version_id AND blob_reference.role = :role"
        ),
        {"fingerprint": fingerprint, "version_id": version_id, "role": ROLE},
    )
    row = rows.one_or_none()
    return None if row is None else StoredView(row[0], row[1], bytes(row[2]))


async def adopt_view(
    session: AsyncSession, tenant_id: UUID, version_id: UUID, fingerprint: str
) -> StoredView | None:
    """The view, whichever version it was made for; this one now refers to it too."""
    rows = await session.execute(
        text(
            "SELECT blob.id, blob.size, blob.sha256 FROM stage_result"
            " JOIN blob ON blob.id = stage_result.blob_id"
            " WHERE stage_result.tenant_id = :tenant_id"
            " AND stage_result.fingerprint = :fingerprint AND blob.destroyed_at IS NULL"
            " FOR SHARE OF blob"
        ),
        {"tenant_id": tenant_id, "fingerprint": fingerprint},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    await _refer(session, tenant_id, version_id, row[0])
    return StoredView(row[0], row[1], bytes(row[2]))


async def keep_view(
    session: AsyncSession, tenant_id: UUID, version_id: UUID, fingerprint: str, blob: NewBlob
) -> bool:
    """Stores the view under its fingerprint; False, with nothing stored, when another was first."""
    await session.execute(
        text(
            "INSERT INTO blob (id, tenant_id, kind, size, sha256, created_at)"
            " VALUES (:blob_id, :tenant_id, 'artifact', :size, :sha256, now())"
        ),
        {
            "tenant_id": tenant_id,
            "blob_id": blob.blob_id,
            "size": blob.size,
            "sha256": blob.sha256,
        },
    )
    kept = await session.execute(
        text(
            "INSERT INTO stage_result (tenant_id, fingerprint, stage, blob_id, summary, created_at)"
            " VALUES (:tenant_id, :fingerprint, :stage, :blob_id, '{}', now())"
            " ON CONFLICT (tenant_id, fingerprint) DO NOTHING RETURNING blob_id"
        ),
        {
            "tenant_id": tenant_id,
            "fingerprint": fingerprint,
            "stage": ROLE,
            "blob_id": blob.blob_id,
        },
    )
    if kept.one_or_none() is None:
        await session.execute(
            text("DELETE FROM blob WHERE id = :blob_id"), {"blob_id": blob.blob_id}
        )
        return False
    await _refer(session, tenant_id, version_id, blob.blob_id)
    return True


async def _refer(session: AsyncSession, tenant_id: UUID, version_id: UUID, blob_id: UUID) -> None:
    await session.execute(
        text(
            "INSERT INTO blob_reference (tenant_id, blob_id, version_id, role, created_at)"
            " VALUES (:tenant_id, :blob_id, :version_id, :role, now()) ON CONFLICT DO NOTHING"
        ),
        {"tenant_id": tenant_id, "blob_id": blob_id, "version_id": version_id, "role": ROLE},
    )

"""What an upload writes: blob, file, version, reference and start-intent, in the caller's
transaction."""

from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, BlobReference, File, FileVersion, now
from db.queries.files import OUT_OF_SIGHT, visible
from muniment.errors import DatabaseUnavailable
from muniment.objects import SealedBlob

_CONTENT = "content"
_ADOPTION_ATTEMPTS = 3


async def adopt_content(session: AsyncSession, tenant_id: UUID, sealed: SealedBlob) -> UUID:
    """The id of the tenant's blob with this content: the new one, or that which was there before.

    The row stays locked until the transaction ends, so that uploads of the same content take turns
    and an erasure cannot destroy the blob in between. When the id is another than `sealed.blob_id`,
    the new blob is not needed.
    """
    for _ in range(_ADOPTION_ATTEMPTS):
        await session.execute(
            insert(Blob)
            .values(
                id=sealed.blob_id,
                tenant_id=tenant_id,
                kind=_CONTENT,
                dedup_tag=sealed.dedup_tag,
                size=sealed.size,
                sha256=sealed.sha256,
                created_at=now(),
            )
            .on_conflict_do_nothing()
        )
        adopted = await session.scalars(
            select(col(Blob.id))
            .where(col(Blob.dedup_tag) == sealed.dedup_tag, col(Blob.destroyed_at).is_(None))
            .with_for_update()
        )
        blob_id = adopted.one_or_none()
        if blob_id is not None:
            if blob_id != sealed.blob_id:
                # What comes in anew is asked for anew, however old: it stays in the hot tier.
                await session.execute(
                    update(Blob).where(col(Blob.id) == blob_id).values(accessed_at=now())
                )
            return blob_id
        # The one that was there is being destroyed: the insert finds its place free now.
    raise DatabaseUnavailable("the content's blob is being destroyed again and again")


async def find_same_file(
    session: AsyncSession, collection_id: UUID, name: str, blob_id: UUID
) -> UUID | None:
    """The file of this name in the collection whose newest version has this content, if the caller
    may read it. Call after `adopt_content`, whose lock keeps a twin upload waiting.

    Locked, so that nobody trashes or erases it before the caller has answered with it.
    """
    newest = (
        select(col(FileVersion.blob_id))
        .where(col(FileVersion.file_id) == col(File.id))
        .order_by(col(FileVersion.number).desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(col(File.id))
        .where(
            col(File.collection_id) == collection_id,
            col(File.name) == name,
            col(File.state).not_in(OUT_OF_SIGHT),
            newest == blob_id,
            visible("read"),
        )
        .order_by(col(File.created_at))
        .limit(1)
        .with_for_update(of=File)
    )
    return (await session.scalars(statement)).one_or_none()


async def find_file_by_name(session: AsyncSession, collection_id: UUID, name: str) -> UUID | None:
    """The newest file of this name in the collection that the caller may write."""
    statement = (
        select(col(File.id))
        .where(
            col(File.collection_id) == collection_id,
            col(File.name) == name,
            col(File.state).not_in(OUT_OF_SIGHT),
            visible("write"),
        )
        .order_by(col(File.created_at).desc())
        .limit(1)
    )
    return (await session.scalars(statement)).one_or_none()


async def add_version(session: AsyncSession, version: FileVersion) -> None:
    """Adds the version with its reference to its content. The file is in the session, or locked."""
    session.add(version)
    await session.flush()
    session.add(
        BlobReference(
            tenant_id=version.tenant_id,
            blob_id=version.blob_id,
            version_id=version.id,
            role=_CONTENT,
        )
    )
    await session.flush()


async def add_file(session: AsyncSession, file: File) -> None:
    session.add(file)
    await session.flush()

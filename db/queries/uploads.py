"""What an upload writes: blob, file, version, reference and start-intent, in the caller's
transaction."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, BlobReference, File, FileVersion, now
from db.queries.files import OUT_OF_SIGHT, visible
from db.queries.quotas import Amounts, Quota, take_turn
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


async def add_file(
    session: AsyncSession, file: File, version: FileVersion, default_quota: Quota
) -> None:
    """Adds a new file with its first version. Raises QuotaExceeded where the tenant may keep no more:
    of all that add at once, each sees what those before it took."""
    standing = await take_turn(session, default_quota)
    standing.require_room(needed_for(version.size, is_new_file=True))
    session.add(file)
    await session.flush()
    await _insert_version(session, version)


async def add_version(session: AsyncSession, version: FileVersion, default_quota: Quota) -> None:
    """Adds a further version of a file that is locked; raises as `add_file` does."""
    standing = await take_turn(session, default_quota)
    standing.require_room(needed_for(version.size, is_new_file=False))
    await _insert_version(session, version)


async def _insert_version(session: AsyncSession, version: FileVersion) -> None:
    """The version, with its reference to its content."""
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


def needed_for(size_bytes: int, *, is_new_file: bool) -> Amounts:
    """What an upload takes of the quota as far as it is known before it is read: a page at least."""
    return Amounts(bytes=size_bytes, files=int(is_new_file), pages=1)

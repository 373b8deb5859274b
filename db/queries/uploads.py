"""What an upload writes: blob, file, version, reference and start-intent, in the caller's
transaction."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, BlobReference, File, FileVersion, now
from db.queries.files import OUT_OF_SIGHT, visible
from db.queries.quotas import Amounts, Quota, Standing, require_room_at_last, standing_of
from muniment.errors import DatabaseUnavailable, QuotaExceeded
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
        made = await session.scalars(
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
            .returning(col(Blob.id))
        )
        if made.one_or_none() is not None:
            return sealed.blob_id  # nobody else sees the row yet
        adopted = await session.scalars(
            select(col(Blob.id))
            .where(col(Blob.dedup_tag) == sealed.dedup_tag, col(Blob.destroyed_at).is_(None))
            .with_for_update()
        )
        blob_id = adopted.one_or_none()
        if blob_id is not None:
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


@dataclass(frozen=True)
class Announced:
    """An upload before it is read. `size_bytes` is None where nothing says how long it is."""

    collection_id: UUID
    name: str
    size_bytes: int | None
    is_version_on_conflict: bool = False


async def require_room_for(
    session: AsyncSession, announced: Announced, default_quota: Quota, promised_bytes: int = 0
) -> None:
    """Raises QuotaExceeded where the tenant cannot have room for what is on its way, of which others
    may take the room meanwhile, so that whoever adds looks again. `promised_bytes` are those of
    uploads that are unfinished. What may turn out to be there already takes nothing, and passes."""
    size_bytes = announced.size_bytes or 0
    standing = await standing_of(session, default_quota)
    try:
        standing.require_room(needed_for(size_bytes, is_new_file=True), promised_bytes)
    except QuotaExceeded:
        if await _may_be_there(session, announced):
            return
        file_id = None
        if announced.is_version_on_conflict:
            file_id = await find_file_by_name(session, announced.collection_id, announced.name)
        if file_id is None:
            raise
        standing.require_room(needed_for(size_bytes, is_new_file=False), promised_bytes)


async def _may_be_there(session: AsyncSession, announced: Announced) -> bool:
    """Whether the caller may read a file of this name whose newest version has this size."""
    newest = (
        select(col(FileVersion.size))
        .where(col(FileVersion.file_id) == col(File.id))
        .order_by(col(FileVersion.number).desc())
        .limit(1)
        .scalar_subquery()
    )
    statement = (
        select(col(File.id))
        .where(
            col(File.collection_id) == announced.collection_id,
            col(File.name) == announced.name,
            col(File.state).not_in(OUT_OF_SIGHT),
            visible("read"),
        )
        .limit(1)
    )
    if announced.size_bytes is not None:
        statement = statement.where(newest == announced.size_bytes)
    return (await session.scalars(statement)).one_or_none() is not None


KnownBytes = Callable[[Mapping[str, str]], Awaitable[int]]
"""How long the content is that an upload with these fields may turn out to be again."""


class Room:
    """What may come of content whose length nothing announced. Others may take the room meanwhile:
    whoever adds looks again."""

    def __init__(
        self, standing: Standing, known_bytes: KnownBytes | None = None, promised_bytes: int = 0
    ) -> None:
        """What is `known_bytes` long takes nothing if it comes again: asked for once, and not before more
        came than there is room for."""
        self._standing = standing
        self._find_known = known_bytes
        self._promised_bytes = promised_bytes
        self._known_bytes: int | None = None

    async def require(self, received_bytes: int, fields: Mapping[str, str]) -> None:
        """Raises QuotaExceeded once more came than the tenant has room for; `fields` are those that came
        until now."""
        try:
            self._standing.require_room(Amounts(bytes=received_bytes), self._promised_bytes)
        except QuotaExceeded:
            if self._known_bytes is None:
                find = self._find_known
                self._known_bytes = 0 if find is None else await find(fields)
            if received_bytes > self._known_bytes:
                raise


async def longest_of_name(session: AsyncSession, collection_id: UUID, name: str) -> int:
    """Bytes of the longest version of files of this name that the caller may read; 0 for none."""
    longest = await session.scalar(
        select(func.max(col(FileVersion.size)))
        .join(File, col(File.id) == col(FileVersion.file_id))
        .where(
            col(File.collection_id) == collection_id,
            col(File.name) == name,
            col(File.state).not_in(OUT_OF_SIGHT),
            visible("read"),
        )
    )
    return longest or 0


async def add_file(
    session: AsyncSession, file: File, version: FileVersion, default_quota: Quota
) -> None:
    """Adds a new file with its first version. The transaction's end raises QuotaExceeded where the tenant
    may keep no more: of all that add at once, each sees what those before it took."""
    require_room_at_last(session, needed_for(version.size, is_new_file=True), default_quota)
    session.add(file)
    await session.flush()
    await _insert_version(session, version)


async def add_version(session: AsyncSession, version: FileVersion, default_quota: Quota) -> None:
    """Adds a further version of a file that is locked; its transaction's end raises as with `add_file`."""
    require_room_at_last(session, needed_for(version.size, is_new_file=False), default_quota)
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

"""Uploads that come piece by piece: their rows, and the parts that they consist of.

Who appends, closes or expires an upload holds its row's lock and looks at its state: of two that
append at one offset, one finds it gone on.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Upload, UploadPart, now
from db.queries.upload_timers import take_turns, want_timer
from muniment.errors import ContentTooLarge, TooManyRequests
from muniment.objects import SealedBlob

ENDED_KEPT = timedelta(hours=24)
"""How long an upload that has ended answers as such."""
OVERDUE = timedelta(minutes=1)
"""What its workflow has not ended by then is ended without it."""
JOINING_LEASE = timedelta(seconds=6)
"""So long does a process that was killed keep others from joining what it joined. Two that join at once
cost work and harm nothing: only one of them commits."""
LONGEST_WAIT = 30
"""So many times an upload's hours may a complete partial one wait for the others."""


class UploadState(StrEnum):
    OPEN = "open"
    FINISHED = "finished"
    TERMINATED = "terminated"
    EXPIRED = "expired"


@dataclass(frozen=True)
class StoredPart:
    """A sealed piece: `size` bytes of plaintext."""

    blob_id: UUID
    size: int


@dataclass(frozen=True)
class SpentUpload:
    """An upload with something to be cleared away."""

    tenant_id: UUID
    upload_id: UUID


@dataclass(frozen=True)
class OpenUploads:
    """How many a tenant may have unfinished, and of how many bytes together."""

    max_uploads: int
    max_bytes: int


async def add_open(session: AsyncSession, upload: Upload, limits: OpenUploads) -> None:
    """Adds it, unless the tenant has as much open as it may: raises TooManyRequests. Those of a tenant
    that begin at once take turns, so that together they do not exceed it either. That it expires is known
    to a timer from the commit on."""
    await take_turns(session, upload.tenant_id)
    opened = await session.scalar(
        select(func.count())
        .select_from(Upload)
        .where(col(Upload.closed_at).is_(None), col(Upload.expires_at) > now())
    )
    if (opened or 0) >= limits.max_uploads:
        raise TooManyRequests(
            f"{limits.max_uploads} uploads are unfinished",
            remedy="Finish or terminate some, wait until they expire, or ask the operator to raise"
            " MUNIMENT_API__MAX_OPEN_UPLOADS.",
        )
    await require_room(session, upload, upload.size or 0, limits)
    session.add(upload)
    await session.flush()
    await want_timer(session, upload.tenant_id, upload.expires_at)


async def require_room(
    session: AsyncSession, upload: Upload, size_bytes: int, limits: OpenUploads
) -> None:
    """Raises TooManyRequests when the upload, having that size, and the tenant's others that are open
    come to more than they may. Raises ContentTooLarge when it does so by itself."""
    if size_bytes > limits.max_bytes:
        raise ContentTooLarge(
            f"the upload is larger than a tenant's unfinished uploads may be ({limits.max_bytes} bytes)",
            remedy="Ask the operator to raise MUNIMENT_API__MAX_OPEN_UPLOAD_BYTES.",
        )
    await take_turns(session, upload.tenant_id)
    if await bytes_of_others(session, upload) + size_bytes > limits.max_bytes:
        raise TooManyRequests(
            f"the unfinished uploads come to more than {limits.max_bytes} bytes",
            remedy="Finish or terminate some, wait until they expire, or ask the operator to raise"
            " MUNIMENT_API__MAX_OPEN_UPLOAD_BYTES.",
        )


async def bytes_of_others(session: AsyncSession, upload: Upload) -> int:
    """To how much the tenant's other open uploads come; those of unknown length count with what has
    come of them. After `add_open` none is added before the transaction's end."""
    others = await session.scalar(
        select(func.sum(func.coalesce(col(Upload.size), col(Upload.received)))).where(
            col(Upload.closed_at).is_(None),
            col(Upload.expires_at) > now(),
            col(Upload.id) != upload.id,
        )
    )
    return int(others or 0)


async def get_upload(
    session: AsyncSession, upload_id: UUID, principal_id: UUID, *, for_update: bool = False
) -> Upload | None:
    """The upload, if it is this principal's."""
    statement = select(Upload).where(
        col(Upload.id) == upload_id, col(Upload.principal_id) == principal_id
    )
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def parts_of(session: AsyncSession, upload_id: UUID) -> list[StoredPart]:
    """In the order of the content."""
    rows = await session.execute(
        select(col(UploadPart.blob_id), col(UploadPart.size))
        .where(col(UploadPart.upload_id) == upload_id)
        .order_by(col(UploadPart.start))
    )
    return [StoredPart(blob_id, size) for blob_id, size in rows]


async def append_parts(
    session: AsyncSession, upload: Upload, parts: Sequence[SealedBlob], expires_at: datetime
) -> None:
    """Acknowledges the parts, which are durable. The caller holds the upload's lock."""
    for part in parts:
        session.add(
            UploadPart(
                upload_id=upload.id,
                start=upload.received,
                tenant_id=upload.tenant_id,
                size=part.size,
                blob_id=part.blob_id,
            )
        )
        upload.received += part.size
    upload.parts += len(parts)
    upload.expires_at = expires_at
    await session.flush()


async def keep_siblings(
    session: AsyncSession, upload: Upload, expires_at: datetime, expiry: timedelta
) -> None:
    """A partial upload goes on, so its principal's partial ones that are complete wait for it: they
    expire with it, not before. Not for ever, since which belong together is known at the end only.
    Ten times within an expiry at most are their rows written; one that is locked has its turn later."""
    await session.execute(
        text(
            "UPDATE upload SET expires_at = least(:expires_at, created_at + :longest)"
            " WHERE id IN (SELECT id FROM upload WHERE principal_id = :principal_id"
            " AND concatenation = 'partial' AND closed_at IS NULL AND size = received"
            " AND id <> :upload_id AND expires_at BETWEEN now() AND :stale"
            " AND created_at + :longest > expires_at"
            " FOR UPDATE SKIP LOCKED)"
        ),
        {
            "expires_at": expires_at,
            "longest": expiry * LONGEST_WAIT,
            "principal_id": upload.principal_id,
            "upload_id": upload.id,
            "stale": expires_at - expiry / 10,
        },
    )


async def claim_joining(
    session: AsyncSession, upload_ids: Collection[UUID], principal_id: UUID, joining_id: UUID
) -> bool:
    """Whether the request may join what of these is the principal's: nobody else does. Asked again it
    prolongs its turn."""
    rows = await session.execute(
        text(
            "SELECT id, joining_id <> :joining_id AND joining_until > clock_timestamp() AS is_taken"
            " FROM upload WHERE id = ANY(:ids) AND principal_id = :principal_id ORDER BY id"
            " FOR UPDATE"
        ),
        {"ids": list(upload_ids), "principal_id": principal_id, "joining_id": joining_id},
    )
    found = {upload_id: bool(is_taken) for upload_id, is_taken in rows}
    if any(found.values()):
        return False
    await session.execute(
        text(
            "UPDATE upload SET joining_id = :joining_id,"
            " joining_until = clock_timestamp() + :lease WHERE id = ANY(:ids)"
        ),
        {"ids": list(found), "joining_id": joining_id, "lease": JOINING_LEASE},
    )
    return True


async def end_joining(
    session: AsyncSession, joining_id: UUID, upload_ids: Collection[UUID]
) -> None:
    """Leaves them to whoever asks next."""
    await session.execute(
        text(
            "UPDATE upload SET joining_id = NULL, joining_until = NULL"
            " WHERE id = ANY(:ids) AND joining_id = :joining_id"
        ),
        {"ids": list(upload_ids), "joining_id": joining_id},
    )


async def close(
    session: AsyncSession, upload: Upload, state: UploadState, file_id: UUID | None = None
) -> None:
    """Ends it and forgets what it was to be called. Its parts are no longer read, and are destroyed by
    a worker. The caller holds the upload's lock."""
    upload.state = state
    upload.file_id = file_id
    upload.described = ""
    upload.closed_at = now()
    await session.flush()


def has_expired(upload: Upload, moment: datetime | None = None) -> bool:
    """Whether an upload that is open ran out of time by that moment, else by now; not while a request makes
    a file of it."""
    latest = max(upload.expires_at, upload.joining_until or upload.expires_at)
    return upload.closed_at is None and latest <= (moment or now())


# ── clearing away ───────────────────────────────────────────────────────────────────────────────


async def spent_uploads(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 100
) -> list[SpentUpload]:
    """Of all tenants, those after the given one; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, upload_id"
            " FROM spent_uploads(:kept_for, :overdue, CAST(:after AS uuid), :max_rows)"
        ),
        {"kept_for": ENDED_KEPT, "overdue": OVERDUE, "after": after, "max_rows": max_rows},
    )
    return [SpentUpload(**row) for row in rows.mappings()]


async def due_uploads(session: AsyncSession, after: UUID | None, max_rows: int) -> list[UUID]:
    """The tenant's, behind that one: those whose time has run out, and those that expired and whose parts
    are still there, because whoever was at it was killed."""
    rows = await session.execute(
        text(
            "SELECT id FROM upload"
            " WHERE (closed_at IS NULL AND expires_at <= now()"
            "  AND (joining_until IS NULL OR joining_until <= clock_timestamp())"
            "  OR closed_at IS NOT NULL AND parts > 0 AND state = 'expired')"
            " AND (CAST(:after AS uuid) IS NULL OR id > :after)"
            " ORDER BY id LIMIT :max_rows"
        ),
        {"after": after, "max_rows": max_rows},
    )
    return [row.id for row in rows]


async def parts_of_ended(session: AsyncSession, upload_id: UUID) -> list[StoredPart]:
    """Parts that nobody reads any more; none while the upload goes on."""
    closed_at = await session.scalar(
        select(col(Upload.closed_at)).where(col(Upload.id) == upload_id)
    )
    return [] if closed_at is None else await parts_of(session, upload_id)


async def expire(session: AsyncSession, upload_id: UUID) -> bool:
    """Closes the upload if its time has run out by the database's clock, which said that it is due; whether
    it was closed by this."""
    upload = await session.get(Upload, upload_id, with_for_update=True)
    moment = await session.scalar(select(func.now()))
    if upload is None or not has_expired(upload, moment):
        return False
    await close(session, upload, UploadState.EXPIRED)
    return True


async def forget_parts(session: AsyncSession, upload_id: UUID, blob_ids: Sequence[UUID]) -> None:
    """Their keys were destroyed: drops what names them."""
    dropped = await session.execute(
        delete(UploadPart)
        .where(col(UploadPart.upload_id) == upload_id, col(UploadPart.blob_id).in_(blob_ids))
        .returning(col(UploadPart.blob_id))
    )
    count = len(dropped.all())
    await session.execute(
        update(Upload).where(col(Upload.id) == upload_id).values(parts=col(Upload.parts) - count)
    )


async def forget_ended(session: AsyncSession, upload_id: UUID) -> None:
    """Drops the row of an upload without parts that ended so long ago that nobody asks for it."""
    await session.execute(
        delete(Upload).where(
            col(Upload.id) == upload_id, col(Upload.closed_at) < now() - ENDED_KEPT
        )
    )

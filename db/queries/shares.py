"""Share links: how one is found, and who may take what by it now.

What is counted is counted by statements that look at the row as it is when they change it, whoever
else changes it meanwhile.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from uuid import UUID

from sqlalchemy import delete, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Principal, ShareLink, ShareSession, ShareTry, now

TRIES_WINDOW = timedelta(minutes=15)
"""Within which tries of passwords are counted; also how long they are remembered."""
_MOST_FORGOTTEN = 1_000


@dataclass(frozen=True)
class FoundLink:
    """The link that a token belongs to, and as whom its file is looked for."""

    tenant_id: UUID
    share_id: UUID
    created_by: UUID


@dataclass(frozen=True)
class ShareFilter:
    """Which links to list; None means any."""

    created_by: UUID | None = None
    file_id: UUID | None = None


@dataclass(frozen=True)
class TryLimits:
    """Passwords that may be tried at one link within the window: from one address, and from all."""

    of_one: int
    of_all: int


class Taking(Enum):
    """What became of taking content."""

    COUNTED = "counted"
    COUNTED_BEFORE = "counted before"
    REFUSED = "refused"
    GONE = "gone"


async def find_link(session: AsyncSession, token_hash: bytes) -> FoundLink | None:
    """The link of the token unless it was revoked; needs no tenant to be set."""
    row = (
        await session.execute(
            text("SELECT tenant_id, share_id, created_by FROM find_share_link(:hash)"),
            {"hash": token_hash},
        )
    ).one_or_none()
    return None if row is None else FoundLink(row.tenant_id, row.share_id, row.created_by)


async def get_share(
    session: AsyncSession,
    share_id: UUID,
    *,
    created_by: UUID | None = None,
    for_update: bool = False,
) -> ShareLink | None:
    """The link, if it is that principal's where one is given."""
    statement = select(ShareLink).where(col(ShareLink.id) == share_id)
    if created_by is not None:
        statement = statement.where(col(ShareLink.created_by) == created_by)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def list_shares(
    session: AsyncSession,
    wanted: ShareFilter,
    *,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[ShareLink]:
    """Newest first."""
    statement = (
        select(ShareLink)
        .order_by(col(ShareLink.created_at).desc(), col(ShareLink.id).desc())
        .limit(limit)
    )
    if wanted.created_by is not None:
        statement = statement.where(col(ShareLink.created_by) == wanted.created_by)
    if wanted.file_id is not None:
        statement = statement.where(col(ShareLink.file_id) == wanted.file_id)
    if after is not None:
        statement = statement.where(tuple_(col(ShareLink.created_at), col(ShareLink.id)) < after)
    return (await session.scalars(statement)).all()


async def creator_name(session: AsyncSession, share: ShareLink) -> str:
    """What whoever made the link is called."""
    found = await session.scalars(
        select(col(Principal.name)).where(col(Principal.id) == share.created_by)
    )
    return found.one()


async def is_live(session: AsyncSession, share_id: UUID) -> bool:
    """Whether the link is neither revoked nor expired now."""
    found = await session.scalar(
        text(
            "SELECT true FROM share_link"
            " WHERE id = :share_id AND revoked_at IS NULL AND expires_at > now()"
        ),
        {"share_id": share_id},
    )
    return found is not None


# ── downloads ───────────────────────────────────────────────────────────────────────────────────


async def was_counted(session: AsyncSession, share_id: UUID, session_id: UUID) -> bool:
    """Whether the visitor's session has taken content before."""
    return await session.get(ShareSession, (share_id, session_id)) is not None


async def take(
    session: AsyncSession,
    share: ShareLink,
    session_id: UUID,
    until: datetime,
    max_sessions: int,
) -> Taking:
    """Counts a download, once for each session however many requests it makes at once. After REFUSED
    the transaction must not commit: the session would pass for one that was counted. Of a link that
    may be used oftener than `max_sessions` the oldest sessions beyond them are forgotten, which would be
    counted again."""
    if not await _is_there(session, share):
        return Taking.GONE
    if not await _is_first(session, share, session_id, until):
        is_refused = not await is_live(session, share.id)
        return Taking.REFUSED if is_refused else Taking.COUNTED_BEFORE
    if share.max_downloads is None or share.max_downloads > max_sessions:
        await _forget_oldest(session, share, max_sessions)
    counted = await session.execute(
        text(
            "UPDATE share_link SET downloads = downloads + 1, last_used_at = now()"
            " WHERE id = :share_id AND revoked_at IS NULL AND expires_at > now()"
            " AND (max_downloads IS NULL OR downloads < max_downloads) RETURNING id"
        ),
        {"share_id": share.id},
    )
    return Taking.REFUSED if counted.one_or_none() is None else Taking.COUNTED


async def _is_there(session: AsyncSession, share: ShareLink) -> bool:
    """Whether an erasure left the link. Locked from the start as it will be to count: two that count
    and an erasure between them would wait for each other."""
    found = await session.scalar(
        text("SELECT true FROM share_link WHERE id = :share_id FOR NO KEY UPDATE"),
        {"share_id": share.id},
    )
    return found is not None


async def _is_first(
    session: AsyncSession, share: ShareLink, session_id: UUID, until: datetime
) -> bool:
    """Of two requests of one session the second waits here until the first has ended."""
    inserted = await session.execute(
        text(
            "INSERT INTO share_session (share_id, session_id, tenant_id, expires_at)"
            " VALUES (:share_id, :session_id, :tenant_id, :until)"
            " ON CONFLICT DO NOTHING RETURNING session_id"
        ),
        {
            "share_id": share.id,
            "session_id": session_id,
            "tenant_id": share.tenant_id,
            "until": until,
        },
    )
    return inserted.one_or_none() is not None


async def _forget_oldest(session: AsyncSession, share: ShareLink, most: int) -> None:
    """A tenth of them at a time, so that few takers pay for it. The caller holds the link's row."""
    remembered = await session.scalar(
        text("SELECT count(*) FROM share_session WHERE share_id = :share_id"),
        {"share_id": share.id},
    )
    if (remembered or 0) > most:
        await session.execute(
            text(
                "DELETE FROM share_session WHERE (share_id, session_id) IN"
                " (SELECT share_id, session_id FROM share_session WHERE share_id = :share_id"
                " ORDER BY expires_at LIMIT :some FOR UPDATE SKIP LOCKED)"
            ),
            {"share_id": share.id, "some": max(1, most // 10)},
        )


# ── passwords ───────────────────────────────────────────────────────────────────────────────────


async def begin_try(
    session: AsyncSession, share: ShareLink, address: bytes, limits: TryLimits
) -> UUID | timedelta | None:
    """Counts a password that is about to be looked at, and gives its id; or says how long to wait. None
    for a link that an erasure took away meanwhile.
    Tries that come at once take turns, so that together they are no more than the limits."""
    locked = await session.scalars(
        select(col(ShareLink.id)).where(col(ShareLink.id) == share.id).with_for_update()
    )
    if locked.one_or_none() is None:
        return None
    moment = now()
    rows = await session.execute(
        select(col(ShareTry.address), col(ShareTry.at))
        .where(col(ShareTry.share_id) == share.id, col(ShareTry.at) > moment - TRIES_WINDOW)
        .order_by(col(ShareTry.at))
    )
    tried = [(each, at) for each, at in rows]
    free_at = max(
        _free_at([at for each, at in tried if each == address], limits.of_one, moment),
        _free_at([at for _, at in tried], limits.of_all, moment),
    )
    if free_at > moment:
        return free_at - moment
    begun = ShareTry(tenant_id=share.tenant_id, share_id=share.id, address=address, at=moment)
    session.add(begun)
    await session.flush()
    return begun.id


def _free_at(tried_at: Sequence[datetime], limit: int, moment: datetime) -> datetime:
    """When fewer than the limit lie within the window."""
    return moment if len(tried_at) < limit else tried_at[-limit] + TRIES_WINDOW


async def forgive_try(session: AsyncSession, try_id: UUID) -> None:
    """The password was right: many who know it may come from one address."""
    await session.execute(delete(ShareTry).where(col(ShareTry.id) == try_id))


# ── clearing away ───────────────────────────────────────────────────────────────────────────────


async def tenants_with_spent_visits(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 100
) -> list[UUID]:
    """Those after the given one that keep sessions or tries which no longer count; needs no tenant."""
    found = await session.scalars(
        text(
            "SELECT tenant_id"
            " FROM tenants_with_spent_visits(:window, CAST(:after AS uuid), :max_rows)"
        ),
        {"window": TRIES_WINDOW, "after": after, "max_rows": max_rows},
    )
    return list(found)


async def forget_spent_visits(session: AsyncSession) -> int:
    """Drops some of the tenant's, and says how many. It waits for nobody: an erasure deletes them as well,
    in another order."""
    sessions = await session.execute(
        text(
            "DELETE FROM share_session WHERE (share_id, session_id) IN"
            " (SELECT share_id, session_id FROM share_session WHERE expires_at < now()"
            " LIMIT :most FOR UPDATE SKIP LOCKED) RETURNING 1"
        ),
        {"most": _MOST_FORGOTTEN},
    )
    tries = await session.execute(
        text(
            "DELETE FROM share_try WHERE id IN (SELECT id FROM share_try"
            " WHERE at < now() - :window LIMIT :most FOR UPDATE SKIP LOCKED) RETURNING 1"
        ),
        {"window": TRIES_WINDOW, "most": _MOST_FORGOTTEN},
    )
    return len(sessions.all()) + len(tries.all())

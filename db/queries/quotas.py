"""What a tenant keeps, against what it may keep.

Bytes count as they were uploaded, by each version of each file until the file is erased: whether the
tenant had the same content before is told to nobody. Triggers count, of what is added when it is
committed; what is here looks, and refuses.
"""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.session import at_last
from muniment.errors import QuotaExceeded

_ADDED = "added_to_what_is_kept"


@dataclass(frozen=True)
class Amounts:
    """Of everything that has a quota."""

    bytes: int = 0
    files: int = 0
    pages: int = 0

    def __add__(self, more: "Amounts") -> "Amounts":
        return Amounts(self.bytes + more.bytes, self.files + more.files, self.pages + more.pages)


@dataclass(frozen=True)
class Quota:
    """How much of it a tenant may keep; None is any amount."""

    max_bytes: int | None = None
    max_files: int | None = None
    max_pages: int | None = None


@dataclass(frozen=True)
class Standing:
    """What a tenant keeps, and may keep."""

    used: Amounts
    quota: Quota

    def require_room(self, more: Amounts, promised_bytes: int = 0) -> None:
        """Raises QuotaExceeded where that much more does not fit beside what is kept and what is
        promised to others. What is not asked for is not refused, however little of it there may be."""
        for name, used, promised, wanted, limit in (
            ("bytes", self.used.bytes, promised_bytes, more.bytes, self.quota.max_bytes),
            ("files", self.used.files, 0, more.files, self.quota.max_files),
            ("pages", self.used.pages, 0, more.pages, self.quota.max_pages),
        ):
            if limit is not None and wanted > 0 and used + promised + wanted > limit:
                unfinished = f", {promised} are those of unfinished uploads" if promised else ""
                raise QuotaExceeded(
                    f"the tenant keeps {used} of {limit} {name}{unfinished}, and this needs"
                    f" {wanted} more"
                )


async def standing_of(session: AsyncSession, default: Quota) -> Standing:
    """The tenant's; `default` is the quota of tenants that have none of their own."""
    found = await session.execute(_LOOK)
    return _standing(found.mappings().one(), default)


_QUOTA = "quota.tenant_id, quota.max_bytes, quota.max_files, quota.max_pages"

_LOOK = text(
    f"""
    SELECT coalesce(usage.bytes, 0) AS bytes, coalesce(usage.files, 0) AS files,
           coalesce(usage.pages, 0) AS pages, {_QUOTA}
    FROM (SELECT current_tenant() AS id) present
    LEFT JOIN tenant_usage usage ON usage.tenant_id = present.id
    LEFT JOIN tenant_quota quota ON quota.tenant_id = present.id
    """  # noqa: S608 - a constant
)


async def take_turn(session: AsyncSession, default: Quota) -> Standing:
    """As above; until the transaction's end nobody else takes anything of the tenant's quota. Raises
    DatabaseUnavailable where the turn does not come soon: whoever waits for a process that stands
    still holds a connection that other tenants need."""
    found = await session.execute(_TAKE_TURN)
    return _standing(found.mappings().one(), default)


_TAKE_TURN = text(
    f"""
    SELECT locked.bytes, locked.files, locked.pages, {_QUOTA}
    FROM take_usage_turn() locked
    LEFT JOIN tenant_quota quota ON quota.tenant_id = locked.tenant_id
    """  # noqa: S608 - a constant
)


def _standing(row: RowMapping, default: Quota) -> Standing:
    own = Quota(row["max_bytes"], row["max_files"], row["max_pages"])
    return Standing(
        Amounts(row["bytes"], row["files"], row["pages"]),
        default if row["tenant_id"] is None else own,
    )


def require_room_at_last(session: AsyncSession, more: Amounts, default: Quota) -> None:
    """So much is added in the session's transaction. Its end raises QuotaExceeded where the tenant may not
    keep all that was, and DatabaseUnavailable as `take_turn` does: whoever adds holds the row that all of
    the tenant wait for while it commits, and no longer."""
    added = session.info.get(_ADDED)
    if added is None:
        at_last(session, partial(_require_what_was_added, session, default))
    session.info[_ADDED] = more if added is None else added + more


async def _require_what_was_added(session: AsyncSession, default: Quota) -> None:
    """What was added is counted behind this."""
    (await take_turn(session, default)).require_room(session.info[_ADDED])


async def count_pages(session: AsyncSession, version_id: UUID, pages: int, default: Quota) -> None:
    """The version has so many pages. Raises QuotaExceeded where the tenant may not have them read;
    what was counted of the version before counts once."""
    found = await session.execute(
        text("SELECT counted_pages FROM file_version WHERE id = :version_id FOR NO KEY UPDATE"),
        {"version_id": version_id},
    )
    more = pages - found.scalar_one()
    if more == 0:
        return
    (await take_turn(session, default)).require_room(Amounts(pages=more))
    await session.execute(
        text("UPDATE file_version SET counted_pages = :pages WHERE id = :version_id"),
        {"pages": pages, "version_id": version_id},
    )

"""What was asked: kept in batches, told as sums, forgotten in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import RowMapping, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AnalyticsPolicy, AskedQuery, new_id

FORGOTTEN_AT_ONCE = 10_000
_LOCK = "hashtextextended('analytics_policy:' || current_tenant()::text, 0)"


class QueryKind(StrEnum):
    """`question`: one that was answered, of which `found` counts citations."""

    SEARCH = "search"
    QUESTION = "question"


class Keeps(StrEnum):
    """What is kept of a query: nothing at all, counts by a keyed hash of its words, or the words too."""

    NOTHING = "nothing"
    COUNTS = "counts"
    TEXT = "text"


@dataclass(frozen=True)
class QueryPolicy:
    """What holds for a tenant."""

    keeps: Keeps
    kept: timedelta


@dataclass(frozen=True)
class NewQuery:
    """As AskedQuery; `text` only where the policy has it kept."""

    asked_at: datetime
    kind: QueryKind
    key: bytes
    text: str | None
    found: int
    milliseconds: float


@dataclass(frozen=True)
class Period:
    """`since` belongs to it, `until` does not."""

    since: datetime
    until: datetime


async def policy_of(session: AsyncSession, tenant_id: UUID, default: QueryPolicy) -> QueryPolicy:
    own = await session.get(AnalyticsPolicy, tenant_id)
    if own is None:
        return default
    return QueryPolicy(Keeps(own.keeps), timedelta(days=own.keep_days))


async def lock_policy(session: AsyncSession) -> AnalyticsPolicy | None:
    """The tenant's own. Until the transaction ends nothing is kept."""
    await session.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
    found: AnalyticsPolicy | None = await session.scalar(select(AnalyticsPolicy))
    return found


async def hold_policy(session: AsyncSession) -> None:
    """Until the transaction ends nobody changes it."""
    await session.execute(text(f"SELECT pg_advisory_xact_lock_shared({_LOCK})"))


async def keep(session: AsyncSession, tenant_id: UUID, asked: Sequence[NewQuery]) -> None:
    await session.execute(
        insert(AskedQuery),
        [
            {
                "id": new_id(),
                "tenant_id": tenant_id,
                "asked_at": each.asked_at,
                "kind": each.kind.value,
                "key": each.key,
                "text": each.text,
                "found": each.found,
                "milliseconds": each.milliseconds,
            }
            for each in asked
        ],
    )


_SUMS = text(
    """
    SELECT count(*) FILTER (WHERE kind = 'search') AS searches,
           count(*) FILTER (WHERE kind = 'question') AS questions,
           count(*) FILTER (WHERE kind = 'search' AND found = 0) AS searches_without_hits,
           count(*) FILTER (WHERE kind = 'question' AND found = 0) AS questions_without_answer,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY milliseconds) AS p50_ms,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY milliseconds) AS p95_ms
    FROM asked_query WHERE asked_at >= :since AND asked_at < :until
    """
)
_BY_QUERY = """
    SELECT key, kind, (array_agg(text ORDER BY asked_at DESC))[1] AS text, count(*) AS asked,
           count(*) FILTER (WHERE found = 0) AS unanswered,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY milliseconds) AS p95_ms,
           max(asked_at) AS last_asked_at
    FROM asked_query WHERE asked_at >= :since AND asked_at < :until
    GROUP BY key, kind
"""


class QueryOrder(StrEnum):
    """Which queries come first."""

    POPULAR = "popular"
    SLOW = "slow"
    UNANSWERED = "unanswered"


_ORDERS = {
    QueryOrder.POPULAR: text(f"{_BY_QUERY} ORDER BY asked DESC, key LIMIT :max_rows"),
    QueryOrder.SLOW: text(f"{_BY_QUERY} ORDER BY p95_ms DESC, key LIMIT :max_rows"),
    QueryOrder.UNANSWERED: text(
        f"{_BY_QUERY} HAVING count(*) FILTER (WHERE found = 0) > 0"
        " ORDER BY unanswered DESC, key LIMIT :max_rows"
    ),
}


async def sums(session: AsyncSession, period: Period) -> RowMapping:
    """`searches`, `questions`, how many of them came to nothing, and percentiles of their time; null where
    nothing was asked."""
    found = await session.execute(_SUMS, {"since": period.since, "until": period.until})
    return found.mappings().one()


async def first_by(
    session: AsyncSession, period: Period, order: QueryOrder, max_rows: int
) -> Sequence[RowMapping]:
    """Queries, equal ones together: `key`, `kind`, `text`, `asked`, `unanswered`, `p95_ms`,
    `last_asked_at`."""
    found = await session.execute(
        _ORDERS[order], {"since": period.since, "until": period.until, "max_rows": max_rows}
    )
    return found.mappings().all()


async def forget(session: AsyncSession, key: bytes | None = None) -> int:
    """All of the tenant's, or those with that key; how many."""
    found = await session.execute(
        text(
            "WITH gone AS (DELETE FROM asked_query WHERE CAST(:key AS bytea) IS NULL OR key = :key"
            " RETURNING 1) SELECT count(*) FROM gone"
        ),
        {"key": key},
    )
    return int(found.scalar_one())


async def forget_texts(session: AsyncSession) -> None:
    """Of the tenant's; what was counted stays."""
    await session.execute(text("UPDATE asked_query SET text = NULL WHERE text IS NOT NULL"))


async def forget_older(session: AsyncSession, kept: timedelta) -> int:
    """Some of what was asked longer ago; how many."""
    found = await session.execute(
        text(
            "WITH old AS (SELECT id FROM asked_query WHERE asked_at < now() - CAST(:kept AS interval)"
            " ORDER BY asked_at LIMIT :max_rows),"
            " gone AS (DELETE FROM asked_query WHERE id IN (SELECT id FROM old) RETURNING 1)"
            " SELECT count(*) FROM gone"
        ),
        {"kept": kept, "max_rows": FORGOTTEN_AT_ONCE},
    )
    return int(found.scalar_one())

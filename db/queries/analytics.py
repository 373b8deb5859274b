"""What was asked: kept in batches, told as sums, forgotten in time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import itemgetter
from typing import Self
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import AnalyticsPolicy, AskedQuery, new_id

FORGOTTEN_AT_ONCE = 10_000
SUMS_SECONDS = 10
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

    @classmethod
    def of(cls, keeps: str, days: float) -> Self:
        """As settings say it."""
        return cls(Keeps(keeps), timedelta(days=days))


@dataclass(frozen=True)
class NewQuery:
    """As AskedQuery; `text` only where the policy has it kept."""

    asked_at: datetime
    kind: QueryKind
    key: bytes
    text: str | None
    found: int
    milliseconds: float
    is_cached: bool


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


async def hold_policy(session: AsyncSession) -> bool:
    """Until the transaction ends nobody changes it; False where somebody is changing it."""
    found = await session.execute(text(f"SELECT pg_try_advisory_xact_lock_shared({_LOCK})"))
    return bool(found.scalar_one())


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
                "is_cached": each.is_cached,
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
           count(*) FILTER (WHERE is_cached) AS cached,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY milliseconds) AS p50_ms,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY milliseconds) AS p95_ms
    FROM asked_query WHERE asked_at >= :since AND asked_at < :until
    """
)
_FIRST = text(
    """
    WITH asked_alike AS MATERIALIZED (
        SELECT key, kind, count(*) AS asked, count(*) FILTER (WHERE found = 0) AS unanswered,
               percentile_disc(0.95) WITHIN GROUP (ORDER BY milliseconds) AS p95_ms,
               max(asked_at) AS last_asked_at
        FROM asked_query WHERE asked_at >= :since AND asked_at < :until
        GROUP BY key, kind
    ),
    placed AS (
        SELECT *, row_number() OVER (ORDER BY asked DESC, key, kind) AS popular,
               row_number() OVER (ORDER BY p95_ms DESC, key, kind) AS slow,
               row_number() OVER (ORDER BY unanswered DESC, key, kind) AS most_unanswered
        FROM asked_alike
    )
    SELECT placed.*, (SELECT text FROM asked_query last WHERE last.key = placed.key
                      AND last.kind = placed.kind AND last.asked_at = placed.last_asked_at LIMIT 1)
    FROM placed
    WHERE popular <= :max_rows OR slow <= :max_rows
       OR (most_unanswered <= :max_rows AND unanswered > 0)
    """
)
"""Words are looked up for what is shown alone."""


class QueryOrder(StrEnum):
    """Which queries come first; what their place is called."""

    POPULAR = "popular"
    SLOW = "slow"
    UNANSWERED = "most_unanswered"


async def limit_time(session: AsyncSession) -> None:
    """Of each statement in the transaction: what people search with waits for the same connections."""
    await session.execute(text(f"SET LOCAL statement_timeout = '{SUMS_SECONDS}s'"))


async def sums(session: AsyncSession, period: Period) -> RowMapping:
    """`searches`, `questions`, how many of them came to nothing, how many were answered as before, and
    percentiles of their time; null where nothing was asked."""
    found = await session.execute(_SUMS, {"since": period.since, "until": period.until})
    return found.mappings().one()


async def first(
    session: AsyncSession, period: Period, max_rows: int
) -> dict[QueryOrder, list[RowMapping]]:
    """Queries, equal ones together: `key`, `kind`, `text`, `asked`, `unanswered`, `p95_ms`,
    `last_asked_at`."""
    found = await session.execute(
        _FIRST, {"since": period.since, "until": period.until, "max_rows": max_rows}
    )
    rows = found.mappings().all()
    return {
        order: sorted(
            (
                row
                for row in rows
                if row[order] <= max_rows and (order != QueryOrder.UNANSWERED or row["unanswered"])
            ),
            key=itemgetter(order),
        )
        for order in QueryOrder
    }


_FORGET = """
    WITH chosen AS (SELECT id FROM asked_query WHERE {which} ORDER BY asked_at, id
                  LIMIT :max_rows FOR UPDATE),
         gone AS (DELETE FROM asked_query WHERE id IN (SELECT id FROM chosen) RETURNING 1)
    SELECT count(*) FROM gone
"""
_FORGET_ALL = text(_FORGET.format(which="true"))
_FORGET_KEY = text(_FORGET.format(which="key = :key"))
_FORGET_OLDER = text(_FORGET.format(which="asked_at < now() - CAST(:kept AS interval)"))
_FORGET_TEXTS = text(
    """
    WITH chosen AS (SELECT id FROM asked_query WHERE text IS NOT NULL ORDER BY asked_at, id
                  LIMIT :max_rows FOR UPDATE),
         blank AS (UPDATE asked_query SET text = NULL WHERE id IN (SELECT id FROM chosen) RETURNING 1)
    SELECT count(*) FROM blank
    """
)


async def forget(session: AsyncSession, key: bytes | None = None) -> int:
    """Some of the tenant's, or of those with that key; how many."""
    if key is None:
        return await _some(session, _FORGET_ALL, {})
    return await _some(session, _FORGET_KEY, {"key": key})


async def forget_unwanted(session: AsyncSession, keeps: Keeps) -> int:
    """Some of what such a policy does not keep; how many. What was counted stays where words alone go."""
    if keeps is Keeps.TEXT:
        return 0
    return await _some(session, _FORGET_ALL if keeps is Keeps.NOTHING else _FORGET_TEXTS, {})


async def forget_older(session: AsyncSession, kept: timedelta) -> int:
    """Some of what was asked longer ago; how many."""
    return await _some(session, _FORGET_OLDER, {"kept": kept})


async def _some(session: AsyncSession, statement: TextClause, values: dict[str, object]) -> int:
    """FORGOTTEN_AT_ONCE at most; fewer, and there are no more."""
    found = await session.execute(statement, {**values, "max_rows": FORGOTTEN_AT_ONCE})
    return int(found.scalar_one())

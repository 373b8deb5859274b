"""Analytics of queries: summed up, set, forgotten."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from api.analytics.schemas import (
    AnalyticsPolicy,
    CountedQuery,
    QueryAnalytics,
    WantedAnalyticsPolicy,
)
from api.authentication import Caller
from api.preconditions import require_match
from db.audit import record
from db.models import AnalyticsPolicy as Row
from db.models import now
from db.queries import analytics
from db.queries.analytics import Keeps, Period, QueryOrder, QueryPolicy
from db.session import Access, Database
from muniment.errors import Forbidden, InvalidRequest

DEFAULT_PERIOD = timedelta(days=7)
LONGEST_PERIOD = timedelta(days=366)
UNSET = '"0"'
"""The entity tag where nothing is set."""


def require_administrator(caller: Caller) -> None:
    """What everybody asks is for administrators alone. Raises Forbidden."""
    if not caller.is_admin:
        raise Forbidden(
            "what is asked of the tenant's documents is for its administrators",
            remedy="Ask an administrator of the tenant.",
        )


def period_of(since: datetime | None, until: datetime | None) -> Period:
    """Raises InvalidRequest for one that is empty or too long."""
    end = until or now()
    try:
        length = end - since if since else DEFAULT_PERIOD
        if timedelta(0) < length <= LONGEST_PERIOD:
            return Period(end - length, end)
    except OverflowError:
        pass  # seven days before the year 1
    raise InvalidRequest(
        "`from` lies before `to`, at most 366 days", remedy="Ask for another, or a shorter time."
    )


async def summary(session: AsyncSession, period: Period, max_rows: int) -> QueryAnalytics:
    await analytics.limit_time(session)
    found = await analytics.sums(session, period)
    rows = await analytics.first(session, period, max_rows)
    first = {order: _counted(rows[order]) for order in QueryOrder}
    return QueryAnalytics(
        since=period.since,
        until=period.until,
        searches=found["searches"],
        questions=found["questions"],
        zero_hit_rate=_rate(found["searches_without_hits"], found["searches"]),
        unanswered_rate=_rate(found["questions_without_answer"], found["questions"]),
        cached_rate=_rate(found["cached"], found["searches"] + found["questions"]),
        p50_ms=found["p50_ms"],
        p95_ms=found["p95_ms"],
        popular=first[QueryOrder.POPULAR],
        slow=first[QueryOrder.SLOW],
        unanswered=first[QueryOrder.UNANSWERED],
    )


def _counted(rows: Sequence[RowMapping]) -> list[CountedQuery]:
    return [CountedQuery.model_validate({**row, "key": row["key"].hex()}) for row in rows]


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole else None


async def forget(
    database: Database, access: Access, some: Callable[[AsyncSession], Awaitable[int]]
) -> None:
    """Has `some` forget until no more is left: a transaction each, so that nothing waits for millions of
    rows, and what is gone stays gone."""
    forgotten = analytics.FORGOTTEN_AT_ONCE
    while forgotten == analytics.FORGOTTEN_AT_ONCE:
        async with database.transaction(access) as session:
            forgotten = await some(session)


async def forget_unwanted(session: AsyncSession, tenant_id: UUID, default: QueryPolicy) -> int:
    """Some of what the policy does not keep, as it is now: another may have been set meanwhile."""
    policy = await analytics.policy_of(session, tenant_id, default)
    return await analytics.forget_unwanted(session, policy.keeps)


def entity_tag(policy: Row | None) -> str:
    return UNSET if policy is None else f'"{policy.revision}"'


def policy_view(policy: Row | None, default: QueryPolicy) -> AnalyticsPolicy:
    if policy is None:
        return AnalyticsPolicy(keeps=default.keeps, keep_days=default.kept.days, is_own=False)
    return AnalyticsPolicy(keeps=Keeps(policy.keeps), keep_days=policy.keep_days, is_own=True)


async def set_policy(
    session: AsyncSession, caller: Caller, if_match: str | None, wanted: WantedAnalyticsPolicy
) -> Row:
    """Holds for whatever is written from now on; `forget` what is no longer to be kept. Raises
    PreconditionFailed."""
    policy = await analytics.lock_policy(session)
    require_match(if_match, entity_tag(policy))
    if policy is None:
        policy = Row(
            tenant_id=caller.tenant_id, keeps=wanted.keeps.value, keep_days=wanted.keep_days
        )
        session.add(policy)
    else:
        policy.keeps, policy.keep_days = wanted.keeps.value, wanted.keep_days
        policy.revision, policy.updated_at = policy.revision + 1, now()
    await session.flush()
    payload = {"keeps": wanted.keeps.value, "keep_days": wanted.keep_days}
    record(
        session,
        caller.act("analytics.policy_set", "tenant", caller.tenant_id, {**payload}),
    )
    return policy

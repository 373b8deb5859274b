"""`/v1/analytics`: what is asked of the tenant's documents, for its administrators."""

from datetime import datetime
from typing import Literal

from muniment.client.building import get, matching, time_text
from muniment.client.models import Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call

_PATH = "/v1/analytics"

Keeps = Literal["nothing", "counts", "text"]


class CountedQuery(Record):
    """Equal queries. `text` is None where words are not kept; `key` is a keyed hash of them."""

    key: str
    kind: str = "search"
    text: str | None = None
    asked: int = 0
    unanswered: int = 0
    p95_ms: float = 0.0
    last_asked_at: datetime | None = None


class QueryAnalytics(Record):
    """Over a time. Rates lie between 0 and 1, and are None where nothing was asked."""

    since: datetime | None = None
    until: datetime | None = None
    searches: int = 0
    questions: int = 0
    zero_hit_rate: float | None = None
    unanswered_rate: float | None = None
    cached_rate: float | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    popular: tuple[CountedQuery, ...] = ()
    slow: tuple[CountedQuery, ...] = ()
    unanswered: tuple[CountedQuery, ...] = ()


class AnalyticsPolicy(Tagged):
    """What is kept of queries. `is_own`: the tenant has set it; else it is the installation's."""

    keeps: str = "counts"
    keep_days: int = 30
    is_own: bool = False


def get_query_analytics(
    since: datetime | None = None, until: datetime | None = None, *, limit: int = 20
) -> Call[QueryAnalytics]:
    """Of the seven days before `until`, else before now."""
    parameters = {"from": time_text(since), "to": time_text(until), "limit": limit}
    return get(f"{_PATH}/queries", QueryAnalytics, parameters)


def forget_queries(key: str | None = None) -> Call[None]:
    """All that was asked, or the one query with that key."""
    return Call("DELETE", f"{_PATH}/queries", read_nothing, parameters={"key": key})


def get_analytics_policy() -> Call[AnalyticsPolicy]:
    return get(f"{_PATH}/policy", AnalyticsPolicy)


def set_analytics_policy(
    keeps: Keeps, keep_days: int = 30, *, etag: str | None = None
) -> Call[AnalyticsPolicy]:
    """What is not to be kept any longer is deleted at once."""
    return Call(
        "PUT",
        f"{_PATH}/policy",
        read_model(AnalyticsPolicy),
        headers=matching(etag),
        json={"keeps": keeps, "keep_days": keep_days},
    )


class AnalyticsOperations:
    """`/v1/analytics`."""

    queries = Operation(get_query_analytics)
    forget = Operation(forget_queries)
    policy = Operation(get_analytics_policy)
    set_policy = Operation(set_analytics_policy)


class Analytics(AnalyticsOperations, Resource):
    """`/v1/analytics`."""


class AsyncAnalytics(AnalyticsOperations, AsyncResource):
    """`/v1/analytics`."""

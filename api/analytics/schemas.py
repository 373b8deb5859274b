"""What is asked of a tenant's documents, as its administrators see it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from api.times import UtcTime
from db.queries.analytics import Keeps, QueryKind

MOST_DAYS = 3_650


class CountedQuery(BaseModel):
    """Equal queries, but for case and spaces. `text` is null where words are not kept."""

    key: str = Field(
        description="The keyed hash of its words, in hex.",
        examples=["0f1e2d3c4b5a69788796a5b4c3d2e1f0"],
    )
    kind: QueryKind
    text: str | None
    asked: int
    unanswered: int = Field(description="How often it found nothing, or nothing that answers.")
    p95_ms: float
    last_asked_at: UtcTime


class QueryAnalytics(BaseModel):
    """Over the time asked for. Rates lie between 0 and 1; they and the times are null where nothing was
    asked."""

    since: UtcTime
    until: UtcTime
    searches: int
    questions: int
    zero_hit_rate: float | None = Field(description="Of searches: the share that found nothing.")
    unanswered_rate: float | None = Field(
        description="Of questions: the share that nothing answered."
    )
    cached_rate: float | None = Field(
        description="Of both: the share that was answered as before, since nothing had changed."
    )
    p50_ms: float | None
    p95_ms: float | None
    popular: list[CountedQuery]
    slow: list[CountedQuery]
    unanswered: list[CountedQuery]


class WantedAnalyticsPolicy(BaseModel):
    """What is to be kept, and for how many days."""

    model_config = ConfigDict(extra="forbid")

    keeps: Keeps = Field(
        description="`nothing`; `counts`: times and numbers, by a keyed hash of the words; `text`: the"
        " words too, which are personal data."
    )
    keep_days: Annotated[int, Field(ge=1, le=MOST_DAYS)] = 30


class AnalyticsPolicy(BaseModel):
    """What is kept. `is_own`: the tenant has set it; else it is the installation's."""

    keeps: Keeps
    keep_days: int
    is_own: bool

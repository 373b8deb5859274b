"""`/v1/reading-comparisons`: what a candidate would read otherwise."""

from datetime import datetime

from muniment.client.building import get
from muniment.client.comparisons import ComparisonSummary, ReadingComparison
from muniment.client.models import Listing
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.protocol import Call, Parameters

_PATH = "/v1/reading-comparisons"


def list_comparisons(
    *, limit: int = 50, cursor: str | None = None, filters: Parameters | None = None
) -> Call[Listing[ReadingComparison]]:
    """Newest first; `filters` as the API names them (`candidate`, `file`, `state`)."""
    parameters = {"limit": limit, "cursor": cursor, **(filters or {})}
    return get(_PATH, Listing[ReadingComparison], parameters)


def summarise_comparisons(
    *, candidate: str | None = None, since: datetime | None = None, worst: int = 10
) -> Call[ComparisonSummary]:
    """By candidate, each with so many of its worst files."""
    parameters: Parameters = {
        "candidate": candidate,
        "since": since.isoformat() if since else None,
        "worst": worst,
    }
    return get(f"{_PATH}/summary", ComparisonSummary, parameters)


class ComparisonOperations:
    """`/v1/reading-comparisons`: what a candidate would read otherwise."""

    list = Operation(list_comparisons)
    summary = Operation(summarise_comparisons)


class Comparisons(ComparisonOperations, Resource):
    """`/v1/reading-comparisons`: what a candidate would read otherwise."""


class AsyncComparisons(ComparisonOperations, AsyncResource):
    """`/v1/reading-comparisons`: what a candidate would read otherwise."""

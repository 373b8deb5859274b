"""The calls of the API that are one request and one answer: a function per route."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import JsonValue

from muniment.client.building import get, post
from muniment.client.comparisons import ComparisonSummary, ReadingComparison
from muniment.client.models import (
    Answer,
    Listing,
    SearchResult,
)
from muniment.client.protocol import Call, Parameters

SearchMode = Literal["hybrid", "lexical", "vector"]
Generate = Literal["auto", "extractive", "llm"]


# ── comparisons of readings ─────────────────────────────────────────────────────────────────────


def list_comparisons(
    limit: int, cursor: str | None, filters: Parameters
) -> Call[Listing[ReadingComparison]]:
    parameters = {"limit": limit, "cursor": cursor, **filters}
    return get("/v1/reading-comparisons", Listing[ReadingComparison], parameters)


def summarise_comparisons(
    candidate: str | None, since: datetime | None, worst: int
) -> Call[ComparisonSummary]:
    parameters: Parameters = {
        "candidate": candidate,
        "since": since.isoformat() if since else None,
        "worst": worst,
    }
    return get("/v1/reading-comparisons/summary", ComparisonSummary, parameters)


# ── search and answers ──────────────────────────────────────────────────────────────────────────


def search(
    query: str,
    mode: SearchMode,
    top_k: int,
    collection: str | None,
    filters: Mapping[str, JsonValue] | None,
) -> Call[SearchResult]:
    json: dict[str, JsonValue] = {"query": query, "mode": mode, "top_k": top_k}
    if collection is not None:
        json["collection"] = collection
    if filters:
        json["filter"] = dict(filters)
    return post("/v1/search", SearchResult, json)


def query(question: str, top_k: int, generate: Generate) -> Call[Answer]:
    return post("/v1/query", Answer, query_body(question, top_k, generate))


def query_body(
    question: str, top_k: int, generate: Generate, *, stream: bool = False
) -> dict[str, JsonValue]:
    return {"query": question, "top_k": top_k, "generate": generate, "stream": stream}

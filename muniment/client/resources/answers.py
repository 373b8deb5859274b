"""`/v1/search` and `/v1/query`: passages, and answers with their citations."""

from collections.abc import Mapping
from typing import Literal

from pydantic import JsonValue

from muniment.client.building import given, post
from muniment.client.models import Answer, SearchResult
from muniment.client.operations import Operation
from muniment.client.protocol import Call

SearchMode = Literal["hybrid", "lexical", "vector"]
Generate = Literal["auto", "extractive", "llm"]


def search(
    query: str,
    *,
    mode: SearchMode = "hybrid",
    top_k: int = 10,
    collection: str | None = None,
    filters: Mapping[str, JsonValue] | None = None,
    fusion: Mapping[str, JsonValue] | None = None,
    operators: bool = True,
    rerank: bool = False,
    show_duplicates: bool = False,
    max_per_file: int | None = None,
    context: Mapping[str, JsonValue] | None = None,
    explain: bool = False,
    cache: bool = True,
) -> Call[SearchResult]:
    """Passages. Without `operators` all of the query is words, whatever it looks like. `context`: what to
    show around each hit, of `before` and `after` (passages, up to 5) and `section` (whether).
    `max_per_file`: hits of one file. `fusion`: `alpha` (weight of vectors, 0–1) and `method` (`minmax`,
    `rrf`). Without `cache` nothing is told again, nor kept for that."""
    json: dict[str, JsonValue] = {"query": query, "mode": mode, "top_k": top_k}
    # What is as the API has it goes unsaid: one of a former release would refuse what it does not know.
    narrowed = given(
        collection=collection,
        filter={**filters} if filters else None,
        fusion={**fusion} if fusion else None,
        operators=None if operators else False,
        rerank=rerank or None,
        show_duplicates=show_duplicates or None,
        max_per_file=max_per_file,
        context={**context} if context else None,
        explain=explain or None,
        cache=None if cache else False,
    )
    return post("/v1/search", SearchResult, json | narrowed)


def query(
    question: str, *, top_k: int = 8, generate: Generate = "auto", cache: bool = True
) -> Call[Answer]:
    """An answer with its citations. Without `cache` none is told again, nor this one kept for that."""
    return post("/v1/query", Answer, query_body(question, top_k, generate, cache=cache))


def query_body(
    question: str, top_k: int, generate: Generate, *, stream: bool = False, cache: bool = True
) -> dict[str, JsonValue]:
    asked: dict[str, JsonValue] = {
        "query": question,
        "top_k": top_k,
        "generate": generate,
        "stream": stream,
    }
    return asked | given(cache=None if cache else False)


class AnswerOperations:
    """What both clients find and answer."""

    search = Operation(search)
    query = Operation(query)

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
    operators: bool = True,
) -> Call[SearchResult]:
    """Passages. Without `operators` all of the query is words, whatever it looks like."""
    json: dict[str, JsonValue] = {"query": query, "mode": mode, "top_k": top_k}
    narrowed = given(collection=collection, filter={**filters} if filters else None)
    narrowed |= {} if operators else {"operators": False}
    return post("/v1/search", SearchResult, json | narrowed)


def query(question: str, *, top_k: int = 8, generate: Generate = "auto") -> Call[Answer]:
    """An answer with its citations."""
    return post("/v1/query", Answer, query_body(question, top_k, generate))


def query_body(
    question: str, top_k: int, generate: Generate, *, stream: bool = False
) -> dict[str, JsonValue]:
    return {"query": question, "top_k": top_k, "generate": generate, "stream": stream}


class AnswerOperations:
    """What both clients find and answer."""

    search = Operation(search)
    query = Operation(query)

"""What can be asked: a search, or a question to be answered."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, JsonValue

from muniment.contracts.base import Contract

MAX_QUERY_CHARACTERS = 10_000
MAX_TOP_K = 100
MAX_NEIGHBOURS = 5


def _storable(query: str) -> str:
    """PostgreSQL's text cannot hold NUL, which is no part of a word."""
    cleaned = query.replace("\0", " ")
    if not cleaned.strip():
        raise ValueError("the query is empty")
    return cleaned


Query = Annotated[
    str, Field(min_length=1, max_length=MAX_QUERY_CHARACTERS), AfterValidator(_storable)
]


class SearchMode(StrEnum):
    HYBRID = "hybrid"
    LEXICAL = "lexical"
    VECTOR = "vector"


class FusionMethod(StrEnum):
    """How the two lists become one: `minmax`, a weighted sum of scores scaled to 0–1 within each
    list, or `rrf`, weighted reciprocal ranks with k = 60 (Cormack et al. 2009)."""

    MINMAX = "minmax"
    RRF = "rrf"


class Fusion(Contract):
    """`alpha` is the weight of vectors, 0–1; words have the rest. Without it, it follows from the question
    (retrieval/query_types.py)."""

    method: FusionMethod = FusionMethod.MINMAX
    alpha: float | None = Field(default=None, ge=0.0, le=1.0)


class ContextRequest(Contract):
    """What is to be shown around each hit: so many passages `before` and `after`, and with `section` the text
    under the same headings."""

    before: int = Field(default=0, ge=0, le=MAX_NEIGHBOURS)
    after: int = Field(default=0, ge=0, le=MAX_NEIGHBOURS)
    section: bool = False


class SearchRequest(Contract):
    """`collection` is an id or a name; `filter` is documented in retrieval/filters.py. `operators`: what
    looks like one in the query is one (retrieval/query_language.py), else all of it is words. `rerank`: the
    best are read once more by the reranker, where the operator configured one. `show_duplicates`: passages
    that say the same are hits of their own, instead of one with the others counted. `max_per_file`: at most
    so many hits of a file."""

    query: Query
    operators: bool = True
    mode: SearchMode = SearchMode.HYBRID
    top_k: int = Field(default=10, ge=1, le=MAX_TOP_K)
    collection: str | None = Field(default=None, max_length=200)
    filter: dict[str, JsonValue] = Field(default_factory=dict, max_length=50)
    fusion: Fusion = Fusion()
    rerank: bool = False
    show_duplicates: bool = False
    max_per_file: int | None = Field(default=None, ge=1, le=MAX_TOP_K)
    context: ContextRequest | None = None
    explain: bool = False

    def searched_stores(self) -> tuple[UUID, ...]:
        """Vector stores of whose files the passages are; none: of any."""
        return ()


class StoreSearchRequest(SearchRequest):
    """Of the files of these vector stores, which the caller was found to read: no body of a request, since
    nothing here asks that. None: of any."""

    vector_stores: tuple[UUID, ...] = ()

    def searched_stores(self) -> tuple[UUID, ...]:
        return self.vector_stores


class Generate(StrEnum):
    """Who words the answer: `extractive` quotes sentences, `llm` asks a language model, `auto` takes
    a language model where one is configured."""

    AUTO = "auto"
    EXTRACTIVE = "extractive"
    LLM = "llm"


class QuestionRequest(Contract):
    """`top_k` passages are read for the answer."""

    query: Query
    top_k: int = Field(default=8, ge=1, le=MAX_TOP_K)
    collection: str | None = Field(default=None, max_length=200)
    filter: dict[str, JsonValue] = Field(default_factory=dict, max_length=50)
    generate: Generate = Generate.AUTO

    def search(self) -> SearchRequest:
        """What is searched for it. A question is a sentence: its quotes and hyphens are no operators."""
        return SearchRequest(
            query=self.query,
            operators=False,
            top_k=self.top_k,
            collection=self.collection,
            filter=self.filter,
        )


class StoreQuestionRequest(QuestionRequest):
    """Answered from the files of these vector stores, as a StoreSearchRequest finds them."""

    vector_stores: tuple[UUID, ...] = ()

    def search(self) -> SearchRequest:
        asked = super().search().model_dump()
        return StoreSearchRequest.model_validate({**asked, "vector_stores": self.vector_stores})

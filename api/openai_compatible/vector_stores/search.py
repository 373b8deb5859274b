"""The search of a vector store: `api/search`'s own, among what the store holds."""

from collections.abc import Sequence
from time import perf_counter
from uuid import UUID

from api.authentication import Caller
from api.openai_compatible.attributes import attributes_of
from api.openai_compatible.ids import IdPrefix, shown_id
from api.openai_compatible.vector_stores.schemas import (
    FoundPassage,
    FoundText,
    HybridSearch,
    RankingOptions,
    SearchCircumstances,
    SearchResults,
    VectorStoreSearch,
)
from api.openai_compatible.vector_stores.service import require_store
from api.search.recording import audit, note
from api.services import Services
from db.queries import files
from db.queries.analytics import QueryKind
from muniment.errors import InvalidRequest
from retrieval.request import MAX_QUERY_CHARACTERS, Fusion, SearchMode, StoreSearchRequest
from retrieval.response import SearchHit


async def search_store(
    services: Services, caller: Caller, collection_id: UUID, body: VectorStoreSearch
) -> SearchResults:
    """Raises NotFound where the store is not the caller's to read, InvalidRequest for a filter that means
    nothing, and what a search raises."""
    async with services.database.transaction(caller.access) as session:
        await require_store(session, collection_id)
    began = perf_counter()
    asked = [body.query] if isinstance(body.query, str) else body.query
    query = "\n".join(asked)
    if not query.replace("\0", " ").strip():
        raise InvalidRequest(
            "the query is empty", errors=[{"field": "query", "detail": "is empty"}]
        )
    if len(query) > MAX_QUERY_CHARACTERS:
        detail = f"has more than {MAX_QUERY_CHARACTERS} characters in all"
        raise InvalidRequest("the query is too long", errors=[{"field": "query", "detail": detail}])
    ranking = body.ranking_options or RankingOptions()
    found = await services.search.search(
        caller.access,
        StoreSearchRequest(
            query=query,
            operators=False,
            top_k=body.max_num_results,
            filter={} if body.filters is None else {"where": body.filters},
            fusion=_fusion(ranking.hybrid_search),
            # There is no place to say in which other files a passage stands.
            show_duplicates=True,
            vector_stores=(collection_id,),
        ),
    )
    hits = [
        (hit, score)
        for hit in found.data
        if (score := score_of(hit, found.mode_used)) >= ranking.score_threshold
    ]
    data = await _passages(services, caller, hits)
    note(services, caller, QueryKind.SEARCH, query, len(data), began)
    await audit(services, caller, "search.performed", len(data))
    circumstances = SearchCircumstances(
        mode_used=found.mode_used,
        degraded=found.degraded,
        reasons=list(found.reasons),
        truncated=found.truncated,
    )
    return SearchResults(search_query=asked, data=data, muniment=circumstances)


async def _passages(
    services: Services, caller: Caller, hits: Sequence[tuple[SearchHit, float]]
) -> list[FoundPassage]:
    async with services.database.transaction(caller.access) as session:
        details = await files.get_files(session, {hit.file_id for hit, _ in hits})
    # A file that went out of the caller's reach since it was found is not shown.
    return [
        FoundPassage(
            file_id=shown_id(IdPrefix.FILE, hit.file_id),
            filename=hit.name,
            score=score,
            attributes=attributes_of(details[hit.file_id].file.attributes),
            content=[FoundText(text=hit.text)],
            pages=list(hit.pages),
        )
        for hit, score in hits
        if hit.file_id in details
    ]


def score_of(hit: SearchHit, mode_used: SearchMode) -> float:
    """Between 0 and 1, in the order of the hits: fused scores are so already, cosines of passages that have
    nothing in common with the question are cut off, and BM25, which has no greatest value, approaches 1."""
    if mode_used is SearchMode.LEXICAL:
        return max(hit.score, 0.0) / (1.0 + max(hit.score, 0.0))
    return min(max(hit.score, 0.0), 1.0)


def _fusion(weights: HybridSearch | None) -> Fusion:
    if weights is None:
        return Fusion()
    total = weights.embedding_weight + weights.text_weight
    if total <= 0:
        detail = "one of the two weights is greater than 0"
        raise InvalidRequest(
            "the weights of the search cannot be used",
            errors=[{"field": "ranking_options.hybrid_search", "detail": detail}],
        )
    return Fusion(alpha=weights.embedding_weight / total)

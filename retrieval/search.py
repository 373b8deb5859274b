"""One search: words and meaning side by side, fused, then read as the caller may read it now."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from db.queries import search as queries
from db.queries.asked import AskedQuery
from db.session import Access, Database
from muniment.contracts.documents import PageBox
from muniment.errors import DatabaseTooSlow
from muniment.objects import SealedTexts
from muniment.task_group import task_group
from retrieval.bm25 import DEFAULT_BM25, Bm25
from retrieval.conditions import Conditions
from retrieval.filters import of_names, parse_filter
from retrieval.fusion import Fused, fuse, ranks
from retrieval.highlighting import highlight_ranges
from retrieval.lexical import AT_ONCE, search_words, weigh_words
from retrieval.passage_texts import TEXT_OUT_OF_REACH, readable
from retrieval.query_language import ParsedQuery, only_words, parse_query
from retrieval.request import Fusion, SearchMode, SearchRequest
from retrieval.response import HitExplanation, HitScores, SearchHit, SearchResponse
from retrieval.timing import Timings
from retrieval.vector import (
    QueryEmbedder,
    VectorResult,
    VectorsUnavailable,
    active_index,
    embed,
    embedder_of,
    search_index,
)

SEALED_LEFT_OUT = (
    "some of these files have their text sealed (`encrypted_text`): they are found by meaning only"
)
NO_RERANKER = "no reranker is installed: the order is that of the fusion"

_log = structlog.get_logger(__name__)
_boxes = TypeAdapter(tuple[PageBox, ...])


@dataclass
class _Candidates:
    """What each list found, and what did not take part: words where they were too slow."""

    lexical: dict[UUID, float] = field(default_factory=dict)
    vector: dict[UUID, float] = field(default_factory=dict)
    truncated: bool = False
    synonyms: tuple[str, ...] = ()
    mode_used: SearchMode = SearchMode.HYBRID
    reasons: list[str] = field(default_factory=list)
    too_slow: DatabaseTooSlow | None = None


class Searcher:
    """Searches of all tenants; holds nothing of any.

    Without an embedder, or when it fails, words alone answer, and the response says `degraded`; meaning
    alone where words take too long. So it says when sealed texts cannot be opened: their hits are then
    without text.
    """

    def __init__(
        self,
        database: Database,
        embedder: QueryEmbedder | None,
        texts: SealedTexts,
        bm25: Bm25 = DEFAULT_BM25,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._texts = texts
        self._bm25 = bm25
        self._conditions = Conditions(database, texts)
        self._searches_by_words = asyncio.Semaphore(AT_ONCE)

    async def search(self, access: Access, request: SearchRequest) -> SearchResponse:
        """The best `top_k` passages. InvalidRequest for a filter that means nothing;
        DatabaseUnavailable when PostgreSQL does not answer."""
        timings = Timings()
        parsed = (parse_query if request.operators else only_words)(request.query)
        wanted = of_names(parse_filter(request.filter, request.collection), parsed)
        candidates = await self._candidates(access, request, parsed, wanted, timings)
        fusion = _fusion_of(request.fusion, candidates.mode_used)
        fused = fuse(candidates.lexical, candidates.vector, fusion)
        hits = await self._hits(access, request, parsed, wanted, candidates, fused, timings)
        if request.rerank:
            candidates.reasons.append(NO_RERANKER)
        return SearchResponse(
            data=hits,
            mode_used=candidates.mode_used,
            degraded=bool(candidates.reasons),
            reasons=tuple(candidates.reasons),
            truncated=candidates.truncated or parsed.is_cut,
            understood=parsed.understood(candidates.synonyms),
            timings_ms=timings.finish(),
        )

    async def embed(self, texts: Sequence[str]) -> list[list[float]] | None:
        """Vectors of length 1 for scoring against a question's; None when there are none to be had."""
        if self._embedder is None or not texts:
            return None
        try:
            vectors = await embed(self._embedder, texts)
        except VectorsUnavailable as error:
            _log.warning("embedding_unavailable", reason=error.detail)
            return None
        return [[float(value) for value in vector] for vector in vectors]

    async def weigh_words(self, access: Access, question: str) -> dict[str, float]:
        """How rare each of the question's words is in what the caller may read. DatabaseTooSlow while too
        many search by words."""
        return await weigh_words(self._database, access, question, self._searches_by_words)

    async def _candidates(
        self,
        access: Access,
        request: SearchRequest,
        parsed: ParsedQuery,
        wanted: queries.FileFilter,
        timings: Timings,
    ) -> _Candidates:
        found = _Candidates(mode_used=request.mode)

        async def by_words() -> None:
            with timings.measure("lexical"):
                result = await search_words(
                    self._database,
                    access,
                    parsed.asked,
                    wanted,
                    parameters=self._bm25,
                    places=self._searches_by_words,
                )
            found.lexical = result.scores
            found.synonyms = result.synonyms
            found.truncated |= result.truncated

        async def by_meaning() -> None:
            try:
                result = await self._by_meaning(access, parsed.meaning, wanted, timings)
                with timings.measure("conditions"):
                    kept = await self._conditions.kept(access, result, parsed.asked, wanted)
                found.vector = kept.found.scores
                found.truncated |= kept.found.truncated
                found.reasons += kept.reasons
            except VectorsUnavailable as error:
                _log.warning("search_degraded", reason=error.detail)
                found.mode_used = SearchMode.LEXICAL
                found.reasons.append(f"search by meaning took no part: {error.detail}")

        async def by_words_in_time() -> None:
            try:
                await by_words()
            except DatabaseTooSlow as error:
                found.too_slow = error

        if request.mode is SearchMode.HYBRID:
            async with task_group() as searches:
                searches.create_task(by_words_in_time())
                searches.create_task(by_meaning())
            if found.too_slow is not None:
                _leave_out_words(found, found.too_slow)
        elif request.mode is SearchMode.VECTOR:
            await by_meaning()
        if request.mode is not SearchMode.HYBRID and found.mode_used is SearchMode.LEXICAL:
            await by_words()
        if found.mode_used is SearchMode.LEXICAL and await self._leaves_out_sealed(access, wanted):
            found.reasons.append(SEALED_LEFT_OUT)
        return found

    async def _leaves_out_sealed(self, access: Access, wanted: queries.FileFilter) -> bool:
        async with self._database.transaction(access) as session:
            await queries.prepare_for_search(session)
            return await queries.holds_sealed(session, wanted)

    async def _by_meaning(
        self, access: Access, query: str, wanted: queries.FileFilter, timings: Timings
    ) -> VectorResult:
        if self._embedder is None:
            raise VectorsUnavailable("no embedder is configured")
        if not query:
            return VectorResult({})
        index = await active_index(self._database, access)
        if index is None:
            return VectorResult({})
        # From here on it is this index version, whichever is activated meanwhile.
        embedder = embedder_of(self._embedder, index)
        with timings.measure("embed"):
            vector = (await embed(embedder, [query]))[0]
        with timings.measure("vector"):
            return await search_index(self._database, access, index, vector, wanted)

    async def _hits(
        self,
        access: Access,
        request: SearchRequest,
        parsed: ParsedQuery,
        wanted: queries.FileFilter,
        candidates: _Candidates,
        fused: dict[UUID, Fused],
        timings: Timings,
    ) -> tuple[SearchHit, ...]:
        order = list(fused)[: request.top_k]
        with timings.measure("passages"):
            words = " ".join((parsed.asked.words, *candidates.synonyms))
            marked = replace(parsed.asked, words=words)
            found = await self._passages(access, order, marked, wanted)
        with timings.measure("unseal"):
            shown = await readable(self._texts, access.tenant_id, found)
        if shown.out_of_reach:
            candidates.reasons.append(TEXT_OUT_OF_REACH)
        explanations = _explanations(candidates, fused) if request.explain else {}
        return tuple(
            _hit(
                shown.passages[chunk_id],
                candidates,
                fused[chunk_id],
                explanations.get(chunk_id),
                words=words,
                text_missing=chunk_id in shown.out_of_reach,
            )
            for chunk_id in order
            if chunk_id in shown.passages
        )

    async def _passages(
        self, access: Access, order: Sequence[UUID], asked: AskedQuery, wanted: queries.FileFilter
    ) -> dict[UUID, queries.FoundPassage]:
        if not order:
            return {}
        async with self._database.transaction(access) as session:
            await queries.prepare_for_search(session)
            return await queries.passages(session, order, asked.words, wanted, asked.prefixes)


def _leave_out_words(found: _Candidates, error: DatabaseTooSlow) -> None:
    """Raises it where meaning took no part either."""
    if found.mode_used is SearchMode.LEXICAL:
        raise error
    _log.warning("search_degraded", reason=error.detail)
    found.mode_used = SearchMode.VECTOR
    found.reasons.append(f"search by words took no part: {error.detail}")


def _fusion_of(asked: Fusion, mode: SearchMode) -> Fusion:
    """One list alone orders the hits where only one took part, whatever the weights."""
    alpha = {SearchMode.LEXICAL: 0.0, SearchMode.VECTOR: 1.0}.get(mode, asked.alpha)
    return Fusion(method=asked.method, alpha=alpha)


def _hit(
    passage: queries.FoundPassage,
    candidates: _Candidates,
    fused: Fused,
    explanation: HitExplanation | None,
    *,
    words: str,
    text_missing: bool,
) -> SearchHit:
    lexical = candidates.lexical.get(passage.chunk_id)
    vector = candidates.vector.get(passage.chunk_id)
    score = {
        SearchMode.HYBRID: fused.score,
        SearchMode.LEXICAL: lexical,
        SearchMode.VECTOR: vector,
    }[candidates.mode_used]
    return SearchHit(
        chunk_id=passage.chunk_id,
        file_id=passage.file_id,
        version=passage.version,
        name=passage.name,
        text=passage.text,
        headings=passage.headings,
        highlights=highlight_ranges(passage.text, passage.marked_text, words),
        score=score if score is not None else 0.0,
        pages=passage.pages,
        boxes=_boxes.validate_python(passage.boxes),
        scores=HitScores(lexical=lexical, vector=vector),
        sealed=passage.sealed_text is not None,
        text_missing=text_missing,
        explanation=explanation,
    )


def _explanations(candidates: _Candidates, fused: dict[UUID, Fused]) -> dict[UUID, HitExplanation]:
    by_words, by_vector = ranks(candidates.lexical), ranks(candidates.vector)
    return {
        chunk_id: HitExplanation(
            lexical_rank=by_words.get(chunk_id),
            vector_rank=by_vector.get(chunk_id),
            lexical_part=parts.lexical,
            vector_part=parts.vector,
        )
        for chunk_id, parts in fused.items()
    }

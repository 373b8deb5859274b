"""One search: words and meaning side by side, fused, then read as the caller may read it now."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import structlog
from pydantic import TypeAdapter

from db.queries import search as queries
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
from retrieval.passage_texts import TEXT_OUT_OF_REACH
from retrieval.query_language import ParsedQuery, only_words, parse_query
from retrieval.query_types import Weighing, weigh
from retrieval.reading import PassageReading
from retrieval.request import SearchMode, SearchRequest
from retrieval.reranking import NO_RERANKER, Reranker, RerankingUnavailable, probability
from retrieval.response import (
    Duplicate,
    HitExplanation,
    HitScores,
    SearchExplanation,
    SearchHit,
    SearchResponse,
    TermScore,
)
from retrieval.selection import Selected, in_order, select
from retrieval.surroundings import Surroundings, read_contexts
from retrieval.timing import Timings
from retrieval.vector import (
    EmbeddedQuestion,
    QueryEmbedder,
    VectorResult,
    VectorsUnavailable,
    active_index,
    embed,
    embedder_of,
    question_vector,
    search_index,
)

SEALED_LEFT_OUT = (
    "some of these files have their text sealed (`encrypted_text`): they are found by meaning only"
)
MAX_ALSO_IN = 10
"""Passages that say the same as a hit which are named with it; all are counted."""

_log = structlog.get_logger(__name__)
_boxes = TypeAdapter(tuple[PageBox, ...])


@dataclass
class _Candidates:
    """What each list found, and what did not take part: words where they were too slow."""

    lexical: dict[UUID, float] = field(default_factory=dict)
    vector: dict[UUID, float] = field(default_factory=dict)
    terms: dict[UUID, tuple[TermScore, ...]] = field(default_factory=dict)
    known_share: float = 1.0
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
        reranker: Reranker | None = None,
    ) -> None:
        self._database = database
        self._embedder = embedder
        self._texts = texts
        self._bm25 = bm25
        self._reranker = reranker
        self._conditions = Conditions(database, texts)
        self._searches_by_words = asyncio.Semaphore(AT_ONCE)

    async def search(
        self, access: Access, request: SearchRequest, embedded: EmbeddedQuestion | None = None
    ) -> SearchResponse:
        """The best `top_k` passages; `embedded`: what is asked, where its vector is known. InvalidRequest for
        a filter that means nothing; DatabaseUnavailable when PostgreSQL does not answer."""
        timings = Timings()
        parsed = (parse_query if request.operators else only_words)(request.query)
        wanted = of_names(parse_filter(request.filter, request.collection), parsed)
        wanted = replace(wanted, vector_stores=request.searched_stores())
        candidates = await self._candidates(access, request, parsed, wanted, timings, embedded)
        weighing = weigh(parsed.form, request.fusion, candidates.mode_used, candidates.known_share)
        if candidates.mode_used is SearchMode.HYBRID and not candidates.lexical:
            weighing = weighing.without_words()
        fused = fuse(candidates.lexical, candidates.vector, weighing)
        reading = PassageReading(
            self._database,
            self._texts,
            access,
            parsed.marked(candidates.synonyms),
            wanted,
            timings,
        )
        selected = await select(list(fused), reading, request, self._most_selected(request))
        reranked = await self._rerank(request, parsed.meaning, selected, reading, candidates)
        shown = in_order(selected, list(reranked))[: request.top_k]
        hits = await self._hits(request, reading, candidates, fused, reranked, shown)
        return SearchResponse(
            data=hits,
            mode_used=candidates.mode_used,
            degraded=bool(candidates.reasons),
            reasons=tuple(dict.fromkeys(candidates.reasons)),
            truncated=candidates.truncated or parsed.is_cut,
            understood=parsed.understood(candidates.synonyms),
            timings_ms=timings.finish(),
            explanation=self._explanation(weighing, reranked) if request.explain else None,
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
        embedded: EmbeddedQuestion | None,
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
                    explain=request.explain,
                )
            found.lexical, found.terms = result.scores, result.terms
            found.synonyms = result.synonyms
            found.truncated |= result.truncated

        async def by_meaning() -> None:
            try:
                result = await self._by_meaning(access, parsed.meaning, wanted, timings, embedded)
                with timings.measure("conditions"):
                    kept = await self._conditions.kept(access, result, parsed.asked, wanted)
                found.vector = kept.found.scores
                found.truncated |= kept.found.truncated
                found.reasons += kept.reasons
                if request.mode is SearchMode.HYBRID and request.fusion.alpha is None:
                    found.known_share = await self._known_share(parsed.meaning)
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
        self,
        access: Access,
        query: str,
        wanted: queries.FileFilter,
        timings: Timings,
        embedded: EmbeddedQuestion | None,
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
            vector = await question_vector(embedder, index, query, embedded)
        with timings.measure("vector"):
            return await search_index(self._database, access, index, vector, wanted)

    async def _known_share(self, query: str) -> float:
        """Of a question that was embedded."""
        if self._embedder is None:
            return 0.0
        return await asyncio.to_thread(self._embedder.known_share, query)

    def _most_selected(self, request: SearchRequest) -> int:
        """The reranker chooses among more than are shown."""
        if not request.rerank or self._reranker is None:
            return request.top_k
        return max(request.top_k, self._reranker.passages)

    async def _rerank(
        self,
        request: SearchRequest,
        question: str,
        selected: Sequence[Selected],
        reading: PassageReading,
        candidates: _Candidates,
    ) -> dict[UUID, float]:
        """The reranker's scores of the best, in its order; none where it was not asked for, or took no
        part."""
        if not request.rerank:
            return {}
        if self._reranker is None:
            candidates.reasons.append(NO_RERANKER)
            return {}
        best = [each.passage for each in selected[: self._reranker.passages]]
        texts = {
            passage.chunk_id: " ".join((*passage.headings, passage.text))
            for passage in best
            if passage.chunk_id not in reading.out_of_reach
        }
        try:
            with reading.timings.measure("rerank"):
                return await self._reranker.scores(question, texts)
        except RerankingUnavailable as error:
            candidates.reasons.append(error.detail)
            return {}

    async def _hits(
        self,
        request: SearchRequest,
        reading: PassageReading,
        candidates: _Candidates,
        fused: dict[UUID, Fused],
        reranked: Mapping[UUID, float],
        selected: Sequence[Selected],
    ) -> tuple[SearchHit, ...]:
        shown = [each.passage for each in selected]
        around = Surroundings({})
        if request.context is not None:
            with reading.timings.measure("context"):
                around = await read_contexts(reading, shown, request.context)
        is_text_missing = any(passage.chunk_id in reading.out_of_reach for passage in shown)
        if is_text_missing or around.is_text_missing:
            candidates.reasons.append(TEXT_OUT_OF_REACH)
        explanations = _explanations(candidates, fused, reranked) if request.explain else {}
        return tuple(
            _hit(
                each,
                candidates,
                fused,
                reranked,
                words=reading.marked.words,
                text_missing=each.passage.chunk_id in reading.out_of_reach,
            ).model_copy(
                update={
                    "context": around.contexts.get(each.passage.chunk_id),
                    "explanation": explanations.get(each.passage.chunk_id),
                }
            )
            for each in selected
        )

    def _explanation(self, weighing: Weighing, reranked: Mapping[UUID, float]) -> SearchExplanation:
        return SearchExplanation(
            query_type=weighing.query_type,
            method=weighing.method,
            alpha=weighing.alpha,
            reranker=self._reranker.model.model_id if self._reranker and reranked else None,
        )


def _leave_out_words(found: _Candidates, error: DatabaseTooSlow) -> None:
    """Raises it where meaning took no part either."""
    if found.mode_used is SearchMode.LEXICAL:
        raise error
    _log.warning("search_degraded", reason=error.detail)
    found.mode_used = SearchMode.VECTOR
    found.reasons.append(f"search by words took no part: {error.detail}")


def _hit(
    selected: Selected,
    candidates: _Candidates,
    fused: Mapping[UUID, Fused],
    reranked: Mapping[UUID, float],
    *,
    words: str,
    text_missing: bool,
) -> SearchHit:
    passage = selected.passage
    lexical = candidates.lexical.get(passage.chunk_id)
    vector = candidates.vector.get(passage.chunk_id)
    rerank = reranked.get(passage.chunk_id)
    score = {
        SearchMode.HYBRID: fused[passage.chunk_id].score,
        SearchMode.LEXICAL: lexical,
        SearchMode.VECTOR: vector,
    }[candidates.mode_used]
    if reranked:
        score = probability(rerank) if rerank is not None else 0.0
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
        scores=HitScores(lexical=lexical, vector=vector, rerank=rerank),
        sealed=passage.sealed_text is not None,
        text_missing=text_missing,
        duplicates=len(selected.duplicates),
        also_in=tuple(map(_duplicate, selected.duplicates[:MAX_ALSO_IN])),
    )


def _duplicate(passage: queries.FoundPassage) -> Duplicate:
    return Duplicate(
        chunk_id=passage.chunk_id,
        file_id=passage.file_id,
        version=passage.version,
        name=passage.name,
        pages=passage.pages,
    )


def _explanations(
    candidates: _Candidates, fused: dict[UUID, Fused], reranked: Mapping[UUID, float]
) -> dict[UUID, HitExplanation]:
    by_words, by_vector = ranks(candidates.lexical), ranks(candidates.vector)
    by_reranker = {chunk_id: rank for rank, chunk_id in enumerate(reranked, start=1)}
    return {
        chunk_id: HitExplanation(
            lexical_rank=by_words.get(chunk_id),
            vector_rank=by_vector.get(chunk_id),
            lexical_part=parts.lexical,
            vector_part=parts.vector,
            fused=parts.score,
            rerank_rank=by_reranker.get(chunk_id),
            terms=candidates.terms.get(chunk_id, ()),
        )
        for chunk_id, parts in fused.items()
    }

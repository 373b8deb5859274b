"""Answers made of the documents' own sentences, each with a citation that was checked."""

from collections.abc import AsyncIterator, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import search as queries
from db.session import Access, Database
from muniment.errors import Unprocessable
from retrieval.citation_check import PageLines, PageText, boxes_of, locate
from retrieval.lexical import term_weights
from retrieval.request import Generate, QuestionRequest, SearchRequest
from retrieval.response import (
    Answer,
    AnswerEvent,
    AnswerMeta,
    Citation,
    CitationEvent,
    DoneEvent,
    SearchHit,
    SearchResponse,
    TokenCount,
    TokenEvent,
)
from retrieval.sealed_lexemes import sealed_lexemes
from retrieval.search import Searcher
from retrieval.sentence_scoring import (
    ScoredSentence,
    Sentence,
    cosine,
    coverage,
    score_sentence,
    select,
)
from retrieval.sentences import sentence_ranges
from retrieval.timing import Timings

NOTHING_FOUND = "I found nothing in the documents that answers this."
MODEL = "extractive"

MAX_SENTENCES = 3
MAX_SENTENCES_EMBEDDED = 12
"""Those with the most of the question's words; the rest do not compete. With 24 the best sentence
holds the answer in .81 instead of .80 of xquad-en's questions, at twice the time."""

SUPPORT_THRESHOLD = 0.42
"""Of a sentence's score, with vectors; below it nothing is said rather than something unrelated.
On xquad-en's passages .97 of its own questions reach .40 and .95 reach .45; of 75 questions from
other sets none reaches .38."""

SUPPORT_THRESHOLD_OF_WORDS = 0.45
"""The same where words alone decide: .89 of the own questions reach it, .01 of the others."""

RELATIVE_THRESHOLD = 0.8
"""Further sentences are nearly as good as the best, or left out."""

SHORTEST_SENTENCE_WORDS = 3
"""Shorter ones are headings, labels and numbers, which state nothing."""


class Answerer:
    """Extractive answers over what a search finds; holds nothing of any tenant."""

    def __init__(self, database: Database, searcher: Searcher) -> None:
        self._database = database
        self._searcher = searcher

    async def answer(
        self,
        access: Access,
        request: QuestionRequest,
        *,
        page_text: PageText | None = None,
        page_lines: PageLines | None = None,
    ) -> Answer:
        """One to three sentences with their citations, or NOTHING_FOUND without any.

        The readers prove the page of a quote and narrow its boxes; they run under the caller's own
        access. Unprocessable for `generate: llm`; else what Searcher.search raises.
        """
        if request.generate is Generate.LLM:
            raise Unprocessable(
                "No language model is configured.",
                remedy="Ask with `generate` set to `auto` or `extractive`.",
            )
        timings = Timings()
        with timings.measure("search"):
            found = await self._search(access, request)
        with timings.measure("sentences"):
            chosen = await self._choose(access, request.query, found.data)
        with timings.measure("citations"):
            citations = [
                await _cite(number, each.sentence, page_text, page_lines)
                for number, each in enumerate(chosen, start=1)
            ]
        return Answer(
            answer=" ".join(_worded(each) for each in citations) or NOTHING_FOUND,
            citations=tuple(citations),
            sources=found.data if citations else (),
            meta=AnswerMeta(
                model=MODEL,
                mode=found.mode_used,
                cached=False,
                degraded=found.degraded,
                reasons=found.reasons,
                timings_ms=timings.finish(),
                tokens=TokenCount(),
            ),
        )

    async def stream(
        self,
        access: Access,
        request: QuestionRequest,
        *,
        page_text: PageText | None = None,
        page_lines: PageLines | None = None,
    ) -> AsyncIterator[AnswerEvent]:
        """The answer a sentence at a time, each followed by its citation; `done` is last.

        Raises what `answer` raises, before the first event.
        """
        answer = await self.answer(access, request, page_text=page_text, page_lines=page_lines)
        if not answer.citations:
            yield TokenEvent(text=answer.answer)
        for citation in answer.citations:
            yield TokenEvent(text=("" if citation.n == 1 else " ") + _worded(citation))
            yield CitationEvent(citation=citation)
        yield DoneEvent(answer=answer)

    async def _search(self, access: Access, request: QuestionRequest) -> SearchResponse:
        return await self._searcher.search(
            access,
            SearchRequest(
                query=request.query,
                top_k=request.top_k,
                collection=request.collection,
                filter=request.filter,
            ),
        )

    async def _choose(
        self, access: Access, question: str, hits: Sequence[SearchHit]
    ) -> list[ScoredSentence]:
        if not hits:
            return []
        async with self._database.transaction(access) as session:
            await queries.prepare_for_search(session)
            weights = await term_weights(session, question)
            sentences = await _sentences(session, hits)
        return await self._best(question, sentences, weights)

    async def _best(
        self, question: str, sentences: Sequence[Sentence], weights: dict[str, float]
    ) -> list[ScoredSentence]:
        likeliest = sorted(sentences, key=lambda each: -coverage(each.lexemes, weights))
        likeliest = likeliest[:MAX_SENTENCES_EMBEDDED]
        vectors = await self._searcher.embed([question, *(each.quote for each in likeliest)])
        similarities: list[float | None] = [None] * len(likeliest)
        if vectors is not None:
            similarities = [cosine(vectors[0], vector) for vector in vectors[1:]]
        scored = [
            score_sentence(each, weights, similarity)
            for each, similarity in zip(likeliest, similarities, strict=True)
        ]
        threshold = SUPPORT_THRESHOLD if vectors is not None else SUPPORT_THRESHOLD_OF_WORDS
        return select(scored, at_least=threshold, relative=RELATIVE_THRESHOLD, limit=MAX_SENTENCES)


async def _sentences(session: AsyncSession, hits: Sequence[SearchHit]) -> list[Sentence]:
    """Those that may state something. PostgreSQL tells the words of passages that it holds in the clear;
    what is sealed there is not sent to it."""
    places = _places(hits)
    plain = [hit.text[start:end] for hit, start, end in places if not hit.sealed]
    sealed = [hit.text[start:end] for hit, start, end in places if hit.sealed]
    of_plain = map(frozenset, await queries.lexemes(session, plain))
    of_sealed = iter(sealed_lexemes(sealed))
    # In the order of the hits, which decides between sentences that are equally good.
    sentences = [
        Sentence(hit, start, end, next(of_sealed if hit.sealed else of_plain))
        for hit, start, end in places
    ]
    return [each for each in sentences if len(each.lexemes) >= SHORTEST_SENTENCE_WORDS]


def _places(hits: Sequence[SearchHit]) -> list[tuple[SearchHit, int, int]]:
    return [(hit, start, end) for hit in hits for start, end in sentence_ranges(hit.text)]


async def _cite(
    number: int, sentence: Sentence, page_text: PageText | None, page_lines: PageLines | None
) -> Citation:
    hit, quote = sentence.hit, sentence.quote
    page, verified = await locate(hit, quote, page_text)
    return Citation(
        n=number,
        chunk_id=hit.chunk_id,
        file_id=hit.file_id,
        version=hit.version,
        name=hit.name,
        page=page,
        boxes=await boxes_of(hit, quote, page, page_lines),
        quote=quote,
        verified=verified and quote in hit.text,
    )


def _worded(citation: Citation) -> str:
    """The quote on one line, with its mark."""
    return f"{' '.join(citation.quote.split())} [{citation.n}]"

"""Answers made of the documents' own sentences."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import search as queries
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow
from retrieval.citation_check import PageLines, PageText, boxes_of, locate
from retrieval.response import AnswerEvent, Citation, CitationEvent, SearchHit, TokenEvent
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

NOTHING_FOUND = "I found nothing in the documents that answers this."
MODEL = "extractive"
UNWEIGHED = "the question's words were taken for equally rare: to weigh them took too long"

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


_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Chosen:
    """`reasons`: what did not take part in the choice."""

    sentences: tuple[ScoredSentence, ...] = ()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pages:
    """Readers of pages, under the caller's own access: they prove the page of a quote and narrow its
    boxes."""

    text: PageText | None = None
    lines: PageLines | None = None


class SentenceChooser:
    """Finds the sentences that answer a question, if any does; holds nothing of any tenant."""

    def __init__(self, database: Database, searcher: Searcher) -> None:
        self._database = database
        self._searcher = searcher

    async def choose(self, access: Access, question: str, hits: Sequence[SearchHit]) -> Chosen:
        """One to three, the best first; none where nothing answers."""
        if not hits:
            return Chosen()
        weights: dict[str, float] | None = None
        try:
            weights = await self._searcher.weigh_words(access, question)
        except DatabaseTooSlow as error:
            _log.warning("answer_degraded", reason=error.detail)
        async with self._database.transaction(access) as session:
            await queries.prepare_for_search(session)
            stating = await sentences(session, hits)
            (asked,) = await queries.lexemes(session, [question])
        if weights is None:
            equal = dict.fromkeys(asked, 1.0)
            return Chosen(await self._best(question, stating, equal), (UNWEIGHED,))
        return Chosen(await self._best(question, stating, weights))

    async def _best(
        self, question: str, stating: Sequence[Sentence], weights: dict[str, float]
    ) -> tuple[ScoredSentence, ...]:
        likeliest = sorted(stating, key=lambda each: -coverage(each.lexemes, weights))
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
        best = select(scored, at_least=threshold, relative=RELATIVE_THRESHOLD, limit=MAX_SENTENCES)
        return tuple(best)


async def sentences(session: AsyncSession, hits: Sequence[SearchHit]) -> list[Sentence]:
    """Those that may state something. PostgreSQL tells the words of passages that it holds in the clear;
    what is sealed there is not sent to it."""
    places = _places(hits)
    plain = [hit.text[start:end] for hit, start, end in places if not hit.sealed]
    sealed = [hit.text[start:end] for hit, start, end in places if hit.sealed]
    of_plain = map(frozenset, await queries.lexemes(session, plain))
    of_sealed = iter(sealed_lexemes(sealed))
    # In the order of the hits, which decides between sentences that are equally good.
    found = [
        Sentence(hit, start, end, next(of_sealed if hit.sealed else of_plain))
        for hit, start, end in places
    ]
    return [each for each in found if len(each.lexemes) >= SHORTEST_SENTENCE_WORDS]


def _places(hits: Sequence[SearchHit]) -> list[tuple[SearchHit, int, int]]:
    return [(hit, start, end) for hit in hits for start, end in sentence_ranges(hit.text)]


async def cited(chosen: Sequence[ScoredSentence], pages: Pages) -> list[Citation]:
    """Numbered from 1, in their order."""
    return [
        await cite(number, each.sentence.hit, each.sentence.quote, pages)
        for number, each in enumerate(chosen, start=1)
    ]


async def cite(number: int, hit: SearchHit, quote: str, pages: Pages) -> Citation:
    """Verified where the quote stands in the passage and on its page."""
    page, is_located = await locate(hit, quote, pages.text)
    return Citation(
        n=number,
        chunk_id=hit.chunk_id,
        file_id=hit.file_id,
        version=hit.version,
        name=hit.name,
        page=page,
        boxes=await boxes_of(hit, quote, page, pages.lines),
        quote=quote,
        verified=is_located and quote in hit.text,
        injection_suspected=hit.injection_suspected,
    )


def worded(citations: Sequence[Citation]) -> Iterator[AnswerEvent]:
    """Each quote on one line with its mark, followed by its citation; that nothing was found where
    there is none."""
    if not citations:
        yield TokenEvent(text=NOTHING_FOUND)
    for citation in citations:
        gap = "" if citation.n == 1 else " "
        yield TokenEvent(text=f"{gap}{' '.join(citation.quote.split())} [{citation.n}]")
        yield CitationEvent(citation=citation)

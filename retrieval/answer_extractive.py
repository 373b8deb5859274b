"""Answers made of the documents' own sentences."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

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
class Pages:
    """Readers of pages, under the caller's own access: they prove the page of a quote and narrow its
    boxes."""

    text: PageText | None = None
    lines: PageLines | None = None


class SentenceChooser:
    """Finds the sentences that are likeliest to answer a question; holds nothing of any tenant."""

    def __init__(self, database: Database, searcher: Searcher) -> None:
        self._database = database
        self._searcher = searcher

    async def likeliest(
        self, access: Access, question: str, hits: Sequence[SearchHit]
    ) -> "LikeliestSentences":
        """By their words; none where there are no hits."""
        if not hits:
            return LikeliestSentences(self._searcher, question, (), {})
        weights: dict[str, float] | None = None
        try:
            weights = await self._searcher.weigh_words(access, question)
        except DatabaseTooSlow as error:
            _log.warning("answer_degraded", reason=error.detail)
        async with self._database.transaction(access) as session:
            await queries.prepare_for_search(session)
            stating = await sentences(session, hits)
            if weights is not None:
                return self._likeliest(question, stating, weights)
            (asked,) = await queries.lexemes(session, [question])
        return self._likeliest(question, stating, dict.fromkeys(asked, 1.0), (UNWEIGHED,))

    def _likeliest(
        self,
        question: str,
        stating: Sequence[Sentence],
        weights: dict[str, float],
        reasons: tuple[str, ...] = (),
    ) -> "LikeliestSentences":
        likeliest = sorted(stating, key=lambda each: -coverage(each.lexemes, weights))
        return LikeliestSentences(
            self._searcher, question, likeliest[:MAX_SENTENCES_EMBEDDED], weights, reasons
        )


class LikeliestSentences:
    """Those that compete to answer a question, the likeliest by its words first. Each is embedded when its
    meaning is asked for, once. `reasons`: what did not take part in the choice."""

    def __init__(
        self,
        searcher: Searcher,
        question: str,
        competing: Sequence[Sentence],
        weights: Mapping[str, float],
        reasons: tuple[str, ...] = (),
    ) -> None:
        self._searcher = searcher
        self._question = question
        self._competing = competing
        self._weights = weights
        self._vectors: dict[str, list[float]] = {}
        self._has_vectors = True
        self.reasons = reasons

    async def has_answer(self) -> bool:
        """Whether `best` gives any. The model is asked no sooner than this is known: so few sentences are
        embedded where few will do, none where words alone say so, the embedder asked thrice at most."""
        if any(
            score_sentence(each, self._weights, 0.0).score >= SUPPORT_THRESHOLD
            for each in self._competing
        ):
            return True
        # A passage's meaning, which the search has measured, is much that of its sentences.
        likeliest = sorted(
            self._competing,
            key=lambda each: (
                -score_sentence(each, self._weights, each.hit.scores.vector or 0.0).score
            ),
        )
        first, few = 1, 3
        for some in (likeliest[:first], likeliest[first : first + few], likeliest[first + few :]):
            if any(each.score >= self._threshold for each in await self._scored(some)):
                return True
        return False

    async def best(self, among: Collection[UUID]) -> list[ScoredSentence]:
        """One to three of the passages `among`, the best first; none where nothing answers."""
        competing = [each for each in self._competing if each.hit.chunk_id in among]
        scored = await self._scored(competing)
        return select(
            scored, at_least=self._threshold, relative=RELATIVE_THRESHOLD, limit=MAX_SENTENCES
        )

    @property
    def _threshold(self) -> float:
        return SUPPORT_THRESHOLD if self._has_vectors else SUPPORT_THRESHOLD_OF_WORDS

    async def _scored(self, competing: Sequence[Sentence]) -> list[ScoredSentence]:
        """Without vectors all are scored by words alone."""
        await self._embed(competing)
        return [
            score_sentence(
                each,
                self._weights,
                cosine(self._vectors[self._question], self._vectors[each.quote])
                if self._has_vectors
                else None,
            )
            for each in competing
        ]

    async def _embed(self, competing: Sequence[Sentence]) -> None:
        wanted = dict.fromkeys((self._question, *(each.quote for each in competing)))
        missing = [text for text in wanted if text not in self._vectors]
        if not self._has_vectors or not competing or not missing:
            return
        vectors = await self._searcher.embed(missing)
        if vectors is None:
            self._has_vectors = False
            return
        self._vectors |= zip(missing, vectors, strict=True)


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

"""Search by words: BM25 over the lexemes of PostgreSQL's tokenizers."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import lexical as queries
from db.queries.search import FileFilter, lexemes, prepare_for_search
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow
from retrieval.bm25 import (
    DEFAULT_BM25,
    Bm25,
    Scored,
    best_passages,
    inverse_document_frequency,
)
from retrieval.response import TermScore
from retrieval.term_scores import term_scores

DEPTH = 200
"""Passages that enter the fusion."""
AT_ONCE = 2
"""Searches by words that a process has at work: each takes up to 80 bytes for each of four million entries,
320 MB."""
LONGEST_WAIT_SECONDS = 10.0
FIRST_LOOK = 1.25
FIRST_LOOK_FILTERED = 5
"""So many times the passages that are asked for are looked at first: some of them are in the trash,
or not wanted."""


@dataclass(frozen=True)
class LexicalResult:
    """BM25 by chunk, best first; `truncated` when the query's commonest terms were left out. `terms`: what
    each term gave to it, where that was asked for."""

    scores: dict[UUID, float]
    truncated: bool
    terms: dict[UUID, tuple[TermScore, ...]] = field(default_factory=dict)


async def search_words(
    database: Database,
    access: Access,
    query: str,
    wanted: FileFilter,
    max_chunks: int = DEPTH,
    parameters: Bm25 = DEFAULT_BM25,
    places: asyncio.Semaphore | None = None,
    *,
    explain: bool = False,
) -> LexicalResult:
    """Nothing is query syntax: every text is words. Without any word of meaning, nothing is found.
    `places`: how many such searches are at work at once, each of which may take hundreds of megabytes.
    DatabaseTooSlow where none gets free. `explain`: with what each term gave."""
    # Before a connection is taken, which others need meanwhile.
    async with (
        _place(places),
        database.transaction(access, is_snapshot=True) as session,
    ):
        await prepare_for_search(session)
        search = _Search(session, query, wanted, max_chunks, parameters, explain)
        corpus = await queries.corpus(session)
        return await (search.of_all(corpus) if corpus.sees_all else search.in_sight())


@asynccontextmanager
async def _place(places: asyncio.Semaphore | None) -> AsyncIterator[None]:
    if places is None:
        yield
        return
    try:
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            await places.acquire()
    except TimeoutError:
        raise DatabaseTooSlow("Too many searches by words are at work.") from None
    try:
        yield
    finally:
        places.release()


@dataclass(frozen=True)
class _Visible:
    chunk_id: UUID
    number: int
    score: float


@dataclass(frozen=True)
class _Search:
    session: AsyncSession
    query: str
    wanted: FileFilter
    max_chunks: int
    parameters: Bm25
    explain: bool

    async def of_all(self, corpus: queries.Corpus) -> LexicalResult:
        """The best passages of all, if enough of them are to be had; if not, what may be had is found out
        first."""
        found = await queries.postings(self.session, self.query, corpus.extents)
        look = FIRST_LOOK if self.wanted == FileFilter() else FIRST_LOOK_FILTERED
        most = int(look * self.max_chunks)
        best = await self._best(found, corpus.extents, most)
        visible = await self._visible(best)
        if len(visible) < self.max_chunks and len(best.numbers) == most:
            ranges = await queries.document_ranges(self.session, self.wanted)
            visible = await self._visible(
                await self._best(found, corpus.extents, self.max_chunks, ranges)
            )
        return self._result(visible[: self.max_chunks], found, corpus.extents)

    async def in_sight(self) -> LexicalResult:
        """The best of what the caller may read, as though there were nothing else."""
        ranges = await queries.document_ranges(self.session, self.wanted)
        found = await queries.postings_in_sight(self.session, self.query, ranges)
        best = await self._best(found, ranges.extents, self.max_chunks, ranges)
        return self._result(await self._visible(best), found, ranges.extents)

    async def _best(
        self,
        found: queries.QueryPostings,
        extents: Mapping[str, queries.Extent],
        most: int,
        ranges: queries.DocumentRanges | None = None,
    ) -> Scored:
        # Other requests go on meanwhile: over a million passages it takes tens of milliseconds.
        return await asyncio.to_thread(
            best_passages, found.terms, extents, self.parameters, most, ranges
        )

    async def _visible(self, best: Scored) -> list[_Visible]:
        numbers = best.numbers.tolist()
        chunks = await queries.visible_chunks(self.session, numbers, self.wanted)
        scores = zip(numbers, best.scores.tolist(), strict=True)
        return [
            _Visible(chunks[number], number, score) for number, score in scores if number in chunks
        ]

    def _result(
        self,
        visible: Sequence[_Visible],
        found: queries.QueryPostings,
        extents: Mapping[str, queries.Extent],
    ) -> LexicalResult:
        scores = {each.chunk_id: each.score for each in visible}
        if not self.explain:
            return LexicalResult(scores, found.truncated)
        numbers = np.array([each.number for each in visible], np.int64)
        terms = term_scores(found.terms, extents, self.parameters, numbers)
        return LexicalResult(
            scores, found.truncated, {each.chunk_id: terms[each.number] for each in visible}
        )


async def weigh_words(
    database: Database, access: Access, question: str, places: asyncio.Semaphore
) -> dict[str, float]:
    """The question's `term_weights`, in one of the searches' places: it reads as much as they do.
    DatabaseTooSlow where none gets free."""
    async with _place(places), database.transaction(access) as session:
        await prepare_for_search(session)
        return await term_weights(session, question)


async def term_weights(session: AsyncSession, question: str) -> dict[str, float]:
    """How rare each of the question's English lexemes is in what the caller may read, in whatever language:
    the inverse document frequency of what it comes to in all of them. Without those that were not
    looked for, in a very long question."""
    (asked,) = await lexemes(session, [question])
    corpus = await queries.corpus(session)
    extents, is_whole = corpus.extents, True
    if corpus.sees_all:
        frequencies = await queries.frequencies(session, question, extents)
    else:
        ranges = await queries.document_ranges(session, FileFilter())
        extents = ranges.extents
        frequencies, is_whole = await queries.frequencies_in_sight(session, question, ranges)
    passages = sum(extent.passages for extent in extents.values())
    standing: Counter[str] = Counter()
    unknown = set[str]()
    for lexeme, language, terms in await _terms(session, question, list(extents)):
        if not terms:
            standing[lexeme] += extents[language].passages
        elif is_whole or all((language, term) in frequencies for term in terms):
            standing[lexeme] += max(frequencies.get((language, term), 0) for term in terms)
        else:
            unknown.add(lexeme)
    return {
        lexeme: inverse_document_frequency(standing[lexeme], passages)
        for lexeme in asked
        if lexeme not in unknown
    }


async def _terms(
    session: AsyncSession, question: str, languages: list[str]
) -> list[tuple[str, str, list[str]]]:
    """English lexeme, language, and what the word comes to there: none where it is left out."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for lexeme, language, term in await queries.meanings(session, question, languages):
        found[lexeme, language] += [] if term is None else [term]
    return [(lexeme, language, terms) for (lexeme, language), terms in found.items()]

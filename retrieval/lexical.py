"""Search by words: BM25 over the lexemes of PostgreSQL's tokenizers."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import lexical as queries
from db.queries.postings import DEFAULT_LANGUAGE
from db.queries.search import FileFilter, lexemes, prepare_for_search
from db.session import Access, Database
from retrieval.bm25 import (
    DEFAULT_BM25,
    Bm25,
    Scored,
    best_passages,
    idf_of_terms,
    inverse_document_frequency,
)

DEPTH = 200
"""Passages that enter the fusion."""
FIRST_LOOK = 1.25
FIRST_LOOK_FILTERED = 5
"""So many times the passages that are asked for are looked at first: some of them are in the trash,
or not wanted."""


@dataclass(frozen=True)
class LexicalResult:
    """BM25 by chunk, best first; `truncated` when the query's commonest terms were left out."""

    scores: dict[UUID, float]
    truncated: bool


async def search_words(
    database: Database,
    access: Access,
    query: str,
    wanted: FileFilter,
    max_chunks: int = DEPTH,
    parameters: Bm25 = DEFAULT_BM25,
) -> LexicalResult:
    """Nothing is query syntax: every text is words. Without any word of meaning, nothing is found."""
    async with database.transaction(access) as session:
        await prepare_for_search(session)
        corpus = await queries.corpus(session)
        found = await queries.postings(session, query, corpus.languages)
        search = _Search(session, corpus, found, wanted, max_chunks, parameters)
        return LexicalResult(await search.scores(), found.truncated)


@dataclass(frozen=True)
class _Search:
    session: AsyncSession
    corpus: queries.Corpus
    found: queries.QueryPostings
    wanted: FileFilter
    max_chunks: int
    parameters: Bm25

    async def scores(self) -> dict[UUID, float]:
        """Whoever sees all gets the best passages of all, if enough of them are to be had. If not, and for
        whoever sees less, what may be had is found out first."""
        if self.corpus.sees_all:
            look = FIRST_LOOK if self.wanted == FileFilter() else FIRST_LOOK_FILTERED
            most = int(look * self.max_chunks)
            best = await self._best(most)
            visible = await self._visible(best)
            if len(visible) >= self.max_chunks or len(best.numbers) < most:
                return dict(list(visible.items())[: self.max_chunks])
        ranges = await queries.document_ranges(self.session, self.wanted)
        return await self._visible(await self._best(self.max_chunks, ranges))

    async def _best(self, most: int, ranges: queries.DocumentRanges | None = None) -> Scored:
        # Other requests go on meanwhile: over a million passages it takes tens of milliseconds.
        return await asyncio.to_thread(
            best_passages, self.found.terms, self.corpus, self.parameters, most, ranges
        )

    async def _visible(self, best: Scored) -> dict[UUID, float]:
        numbers = best.numbers.tolist()
        chunks = await queries.visible_chunks(self.session, numbers, self.wanted)
        scores = zip(numbers, best.scores.tolist(), strict=True)
        return {chunks[number]: score for number, score in scores if number in chunks}


async def term_weights(session: AsyncSession, question: str) -> dict[str, float]:
    """The inverse document frequency of each of the question's English lexemes in what the caller may
    read; those that occur nowhere have the greatest."""
    (asked,) = await lexemes(session, [question])
    corpus = await queries.corpus(session)
    found = await queries.postings(session, question, [DEFAULT_LANGUAGE])
    ranges = None
    if not corpus.sees_all:
        ranges = await queries.document_ranges(session, FileFilter())
    absent = inverse_document_frequency(0, corpus.passages)
    return dict.fromkeys(asked, absent) | idf_of_terms(found.terms, corpus, ranges)

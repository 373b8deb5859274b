"""Search by words: BM25 over the lexemes of PostgreSQL's tokenizers."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import lexical as queries
from db.queries.asked import AskedQuery, asked_terms, meanings
from db.queries.candidates import judged_passages, visible_chunks
from db.queries.search import FileFilter, lexemes, prepare_for_search
from db.queries.synonyms import Expanded, with_synonyms
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow
from retrieval.bm25 import (
    DEFAULT_BM25,
    Bm25,
    Scored,
    best_passages,
    inverse_document_frequency,
)
from retrieval.required_terms import with_required
from retrieval.response import TermScore
from retrieval.term_scores import term_scores

DEPTH = 200
"""Passages that enter the fusion."""
AT_ONCE = 2
"""Searches by words that a process has at work: each takes up to 80 bytes for each of four million entries,
320 MB."""
LONGEST_WAIT_SECONDS = 10.0
JUDGED_AT_MOST = 5_000
"""Candidates whose texts are looked at, from the best on, where a query has conditions."""
JUDGED_AT_ONCE = 250
JUDGED_FOR_SECONDS = 10.0
"""Since the search began, which has its place meanwhile; the first ones are looked at however late."""
FIRST_LOOK = 1.25
FIRST_LOOK_FILTERED = 5
"""So many times the passages that are asked for are looked at first: some of them are in the trash,
or not wanted."""


@dataclass(frozen=True)
class LexicalResult:
    """BM25 by chunk, best first; `truncated` when the query's commonest terms were left out. `synonyms`: what
    was looked for beside the query's words. `terms`: what each term gave, where that was asked for."""

    scores: dict[UUID, float]
    truncated: bool
    synonyms: tuple[str, ...] = ()
    terms: dict[UUID, tuple[TermScore, ...]] = field(default_factory=dict)


async def search_words(
    database: Database,
    access: Access,
    query: AskedQuery | str,
    wanted: FileFilter,
    max_chunks: int = DEPTH,
    parameters: Bm25 = DEFAULT_BM25,
    places: asyncio.Semaphore | None = None,
    *,
    explain: bool = False,
) -> LexicalResult:
    """Of a text alone all is words. Without any word of meaning, nothing is found.
    `places`: how many such searches are at work at once, each of which may take hundreds of megabytes.
    DatabaseTooSlow where none gets free. `explain`: with what each term gave."""
    asked = AskedQuery(query) if isinstance(query, str) else query
    # Before a connection is taken, which others need meanwhile.
    async with (
        _place(places),
        database.transaction(access, is_snapshot=True) as session,
    ):
        await prepare_for_search(session)
        search = _Search(session, asked, wanted, max_chunks, parameters, explain)
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


@dataclass
class _Judged:
    """What was found out about candidates. `is_given_up`: not all of them in time."""

    until: float = field(
        default_factory=lambda: asyncio.get_running_loop().time() + JUDGED_FOR_SECONDS
    )
    holds: dict[UUID, bool] = field(default_factory=dict)
    is_given_up: bool = False


@dataclass(frozen=True)
class _Visible:
    chunk_id: UUID
    number: int
    score: float


@dataclass(frozen=True)
class _Search:
    session: AsyncSession
    query: AskedQuery
    judged: _Judged = field(default_factory=_Judged, kw_only=True)
    wanted: FileFilter
    max_chunks: int
    parameters: Bm25
    explain: bool

    async def of_all(self, corpus: queries.Corpus) -> LexicalResult:
        """The best passages of all, if enough of them are to be had; if not, what may be had is found out
        first."""
        asked = await self._asked(corpus.extents)
        found = await queries.postings(self.session, asked.terms, corpus.extents)
        look = FIRST_LOOK if self.wanted == FileFilter() else FIRST_LOOK_FILTERED
        most = max(int(look * self.max_chunks), self._candidates)
        best = await self._best(found, asked, corpus.extents, most)
        visible = await self._visible(best)
        # Where each of them could be had and was judged, another look would find the same.
        is_all_judged = len(self.judged.holds) == most or self.judged.is_given_up
        if len(visible) < self.max_chunks and len(best.numbers) == most and not is_all_judged:
            ranges = await queries.document_ranges(self.session, self.wanted)
            best = await self._best(found, asked, corpus.extents, self._candidates, ranges)
            visible = await self._visible(best)
        return self._result(asked, visible, best, found, corpus.extents)

    async def in_sight(self) -> LexicalResult:
        """The best of what the caller may read, as though there were nothing else."""
        ranges = await queries.document_ranges(self.session, self.wanted)
        asked = await self._asked(ranges.extents)
        found = await queries.postings_in_sight(self.session, asked.terms, ranges)
        best = await self._best(found, asked, ranges.extents, self._candidates, ranges)
        visible = await self._visible(best)
        return self._result(asked, visible, best, found, ranges.extents)

    async def _asked(self, extents: Mapping[str, queries.Extent]) -> Expanded:
        asked = await asked_terms(self.session, self.query, list(extents))
        return await with_synonyms(self.session, asked, list(extents))

    @property
    def _candidates(self) -> int:
        return JUDGED_AT_MOST if self.query.conditions else self.max_chunks

    async def _best(
        self,
        found: queries.QueryPostings,
        asked: Expanded,
        extents: Mapping[str, queries.Extent],
        most: int,
        ranges: queries.DocumentRanges | None = None,
    ) -> Scored:
        def best() -> Scored:
            terms = with_required(found, asked.terms.required)
            return best_passages(terms, extents, self.parameters, most, ranges)

        # Other requests go on meanwhile: over a million passages it takes tens of milliseconds.
        return await asyncio.to_thread(best)

    async def _visible(self, best: Scored) -> list[_Visible]:
        """The best that may be had and fulfil the conditions, no more than are asked for."""
        visible: list[_Visible] = []
        step = JUDGED_AT_ONCE if self.query.conditions else max(len(best.numbers), 1)
        for start in range(0, len(best.numbers), step):
            if self.judged.is_given_up:
                break
            numbers = best.numbers[start : start + step].tolist()
            chunks = await visible_chunks(self.session, numbers, self.wanted)
            fulfilling = await self._fulfilling(list(chunks.values()))
            scores = zip(numbers, best.scores[start : start + step].tolist(), strict=True)
            visible += [
                _Visible(chunks[number], number, score)
                for number, score in scores
                if number in chunks and chunks[number] in fulfilling
            ]
            if len(visible) >= self.max_chunks:
                break
        return visible[: self.max_chunks]

    async def _fulfilling(self, chunk_ids: Collection[UUID]) -> Collection[UUID]:
        if not self.query.conditions:
            return frozenset(chunk_ids)
        holds = self.judged.holds
        new = [chunk_id for chunk_id in chunk_ids if chunk_id not in holds]
        if new and holds and asyncio.get_running_loop().time() > self.judged.until:
            self.judged.is_given_up = True
        elif new:
            judged = await judged_passages(self.session, new, self.query.conditions)
            holds |= {chunk_id: bool(judged.get(chunk_id)) for chunk_id in new}
        return {chunk_id for chunk_id in chunk_ids if holds.get(chunk_id)}

    def _result(
        self,
        asked: Expanded,
        visible: Sequence[_Visible],
        best: Scored,
        found: queries.QueryPostings,
        extents: Mapping[str, queries.Extent],
    ) -> LexicalResult:
        """`truncated` also where the candidates came to an end before the passages did."""
        ended_early = bool(self.query.conditions) and len(best.numbers) >= JUDGED_AT_MOST
        ended_early = ended_early or self.judged.is_given_up
        is_short = ended_early and len(visible) < self.max_chunks
        return LexicalResult(
            {each.chunk_id: each.score for each in visible},
            found.truncated or is_short,
            asked.synonyms,
            self._terms(visible, found, extents) if self.explain else {},
        )

    def _terms(
        self,
        visible: Sequence[_Visible],
        found: queries.QueryPostings,
        extents: Mapping[str, queries.Extent],
    ) -> dict[UUID, tuple[TermScore, ...]]:
        numbers = np.array([each.number for each in visible], np.int64)
        terms = term_scores(found.terms, extents, self.parameters, numbers)
        return {each.chunk_id: terms[each.number] for each in visible}


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
        terms = await asked_terms(session, AskedQuery(question), list(extents))
        frequencies = await queries.frequencies(session, terms)
    else:
        ranges = await queries.document_ranges(session, FileFilter())
        extents = ranges.extents
        terms = await asked_terms(session, AskedQuery(question), list(extents))
        frequencies, is_whole = await queries.frequencies_in_sight(session, terms, ranges)
    passages = sum(extent.passages for extent in extents.values())
    standing: Counter[str] = Counter()
    unknown = set[str]()
    for lexeme, language, meant in await _meant(session, question, list(extents)):
        if not meant:
            standing[lexeme] += extents[language].passages
        elif is_whole or all((language, term) in frequencies for term in meant):
            standing[lexeme] += max(frequencies.get((language, term), 0) for term in meant)
        else:
            unknown.add(lexeme)
    return {
        lexeme: inverse_document_frequency(standing[lexeme], passages)
        for lexeme in asked
        if lexeme not in unknown
    }


async def _meant(
    session: AsyncSession, question: str, languages: list[str]
) -> list[tuple[str, str, list[str]]]:
    """English lexeme, language, and what the word comes to there: none where it is left out."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for lexeme, language, term in await meanings(session, question, languages):
        found[lexeme, language] += [] if term is None else [term]
    return [(lexeme, language, terms) for (lexeme, language), terms in found.items()]

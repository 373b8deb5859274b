"""What a search by words asks of PostgreSQL: how much there is, where its terms stand, and which of the
passages that it thinks best the caller may have.

Statistics are the tenant's, where the caller may read all that it has. Who may not has those of what is
in sight, and so has the choice of the terms that are scored: neither scores nor `truncated` then tell of
anything else.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.binary_rows import binary_rows, streamed_rows
from db.queries.asked import AskedTerm, AskedTerms
from db.queries.entries import (
    Columns,
    Frequencies,
    Numbers,
    common,
    evenly,
    in_order,
    joined,
    union,
)
from db.queries.posting_statements import COUNTS, POSTINGS, ROWS
from db.queries.postings import ENTRY
from db.queries.search import SEARCHABLE, FileFilter, filter_parameters

MAX_TERMS = 64
"""Distinct query terms that are scored: those that stand in the least share of their language's passages.
The commonest of so many decide nothing."""
MAX_ENTRIES = 4_000_000
"""What the scored terms come to together. Of a term that comes to more by itself the newest are read."""
MAX_ASKED = 128
"""Terms that are looked for where it is found out for each passage whether it is in sight: the longest. What
is hidden has no say in which."""
MAX_BEGUN = 128
"""Terms that a prefix stands for: the commonest of those that begin so."""
SYNONYM_WEIGHT = 0.5
"""How much of a word counts what means the same, however often it stands in a passage."""
LAST_LETTER = "\U0010ffff"
"""No term has this letter, which is not one: what begins with a prefix is less than the prefix with it."""
ENTRIES_AT_A_TIME = 500_000

_RANGE = np.dtype([("first", ">i8"), ("passages", ">i4"), ("terms", ">i8"), ("wanted", ">i2")])


@dataclass(frozen=True)
class Extent:
    """Of the documents of a language."""

    passages: int
    terms: int


@dataclass(frozen=True)
class Corpus:
    """What there is, by language. `sees_all`: nothing of the tenant is hidden from the caller."""

    sees_all: bool
    extents: Mapping[str, Extent]


@dataclass(frozen=True)
class TermPostings:
    """Where a term of the query stands: a number, a frequency and a length for each passage, in the order of
    the numbers. `passages`: how many there are, where not all of them are given."""

    language: str
    term: str
    occurrences: int
    """How often it stands in the query."""
    numbers: Numbers
    frequencies: Frequencies
    lengths: npt.NDArray[np.uint16]
    passages: int


@dataclass(frozen=True)
class QueryPostings:
    """`truncated` when not all that the query's terms come to is given."""

    terms: tuple[TermPostings, ...]
    truncated: bool


@dataclass(frozen=True)
class DocumentRanges:
    """The searchable documents that the caller may read, by their first numbers. `wanted`: it passes
    the filter."""

    first: Numbers
    passages: Numbers
    wanted: npt.NDArray[np.bool_]
    extents: Mapping[str, Extent]

    def places_in(self, numbers: Numbers, *, wanted_only: bool = False) -> Numbers:
        """Which of these numbers, given in their order, belong to the documents."""
        first, passages = self.first, self.passages
        if wanted_only:
            first, passages = first[self.wanted], passages[self.wanted]
        starts = np.searchsorted(numbers, first)
        amounts = np.searchsorted(numbers, first + passages) - starts
        # Each document's places are a run, which begins where the runs before it have ended.
        ends = np.cumsum(amounts)
        places = np.arange(int(ends[-1]) if len(ends) else 0)
        places += np.repeat(starts - (ends - amounts), amounts)
        return places


_CORPUS = text(
    """
    SELECT
        current_principal() IS NULL
            OR EXISTS (SELECT 1 FROM principal WHERE id = current_principal() AND is_admin)
            OR NOT EXISTS (SELECT 1 FROM collection WHERE visibility <> 'tenant') AS sees_all,
        coalesce(array_agg(document.language), '{}') AS languages,
        coalesce(array_agg(document.passages), '{}') AS passages,
        coalesce(array_agg(document.terms), '{}') AS terms
    FROM (
        SELECT language, CAST(sum(passages) AS bigint) AS passages,
               CAST(sum(terms) AS bigint) AS terms
        FROM lexical_document WHERE tenant_id = (SELECT current_tenant())
        GROUP BY language
    ) AS document
    """
)

_RANGES = f"""
WITH {SEARCHABLE}
SELECT document.language, string_agg(
    int8send(document.first_number) || int4send(document.passages) || int8send(document.terms)
        || int2send(CAST(CAST(searchable.wanted AS int) AS int2)),
    '' ORDER BY document.first_number)
FROM searchable JOIN lexical_document AS document ON document.version_id = searchable.version_id
GROUP BY document.language
"""  # noqa: S608 - made of the constants above; every value is bound


async def corpus(session: AsyncSession) -> Corpus:
    """What the tenant has."""
    row = (await session.execute(_CORPUS)).one()
    found = zip(row.languages, row.passages, row.terms, strict=True)
    return Corpus(row.sees_all, {language: Extent(*extent) for language, *extent in found})


async def postings(
    session: AsyncSession, asked: AskedTerms, extents: Mapping[str, Extent]
) -> QueryPostings:
    """Of the terms of a query in each of the languages: for who may read all of them."""
    rows = await binary_rows(
        session,
        POSTINGS,
        {
            **_parameters(asked.terms),
            "corpora": list(extents),
            "of_corpora": [extent.passages for extent in extents.values()],
            "max_begun": MAX_BEGUN,
            "max_terms": MAX_TERMS,
            "max_entries": MAX_ENTRIES,
        },
    )
    blocks: dict[int, dict[str, list[tuple[int, bytes]]]] = {}
    passages: dict[int, dict[str, int]] = {}
    for place, term, first_number, entries, of_term, _ in rows:
        blocks.setdefault(place, {}).setdefault(term, []).append((first_number, entries))
        passages.setdefault(place, {})[term] = of_term
    terms = (
        _together(
            asked.terms[place],
            {term: joined(sorted(each)) for term, each in of_terms.items()},
            passages[place],
        )
        for place, of_terms in blocks.items()
    )
    return QueryPostings(
        tuple(term for term in terms if term is not None), truncated=bool(rows) and rows[0][5]
    )


async def postings_in_sight(
    session: AsyncSession, asked: AskedTerms, ranges: DocumentRanges
) -> QueryPostings:
    """The same of nothing but these documents. Holds twice MAX_ENTRIES, however much is hidden."""
    sought = _sought(asked)
    chosen = _Chosen(ranges)
    group = _Group(sought)
    truncated = len(sought) < len(asked.terms)
    async with aclosing(_in_sight(session, sought, ranges, MAX_ENTRIES)) as found:
        async for (place, term), parts, passages in found:
            if group.place != place:
                chosen.add(group.together())
            if not passages:
                continue
            columns = in_order(parts)
            truncated = truncated or len(columns[0]) < passages
            if sought[place].prefix is None and sought[place].all_terms == {term}:
                chosen.add(_together(sought[place], {term: columns}, {term: passages}))
            else:
                group.add(place, term, columns, passages)
    chosen.add(group.together())
    return QueryPostings(
        tuple(chosen.terms), truncated or group.is_cut or chosen.least_left_out is not None
    )


class _Chosen:
    """The rarest terms of those that come, as many as are scored."""

    def __init__(self, ranges: DocumentRanges) -> None:
        self._ranges = ranges
        self.terms: list[TermPostings] = []
        self.least_left_out: tuple[float, int, str, str] | None = None

    def add(self, term: TermPostings | None) -> None:
        if term is None:
            return
        self.terms.append(term)
        self.terms.sort(key=self._share)
        while len(self.terms) > 1 and (
            len(self.terms) > MAX_TERMS
            or sum(len(each.numbers) for each in self.terms) > MAX_ENTRIES
            or (
                self.least_left_out is not None
                and self._share(self.terms[-1]) > self.least_left_out
            )
        ):
            self.least_left_out = self._share(self.terms.pop())

    def _share(self, term: TermPostings) -> tuple[float, int, str, str]:
        of_language = max(self._ranges.extents[term.language].passages, 1)
        return term.passages / of_language, term.passages, term.language, term.term


class _Group:
    """The terms that count as the one at `place`, which come one after the other. Where these are too many:
    the word itself, and of those that begin so the commonest ones, of synonyms the rarest."""

    def __init__(self, sought: Sequence[AskedTerm]) -> None:
        self._sought = sought
        self.place = -1
        self.is_cut = False
        self._terms: dict[str, tuple[int, Columns]] = {}

    def add(self, place: int, term: str, columns: Columns, passages: int) -> None:
        self.place = place
        self._terms[term] = passages, columns
        asked = self._sought[place]
        while len(self._terms) > 1 and self._is_too_much(asked):
            others = [each for each in self._terms if each not in asked.terms]
            if not others:
                break
            # Of equally common ones the last of the alphabet, as for those who see all.
            others.sort(key=lambda each: (-self._terms[each][0], each))
            del self._terms[others[0 if asked.prefix is None else -1]]
            self.is_cut = True

    def _is_too_much(self, asked: AskedTerm) -> bool:
        entries = sum(len(numbers) for _, (numbers, *_) in self._terms.values())
        too_many = asked.prefix is not None and len(self._terms) > MAX_BEGUN
        return too_many or entries > MAX_ENTRIES

    def together(self) -> TermPostings | None:
        """All of them as one term, once; None where there is none."""
        if not self._terms:
            return None
        passages = {term: each for term, (each, _) in self._terms.items()}
        columns = {term: each for term, (_, each) in self._terms.items()}
        self._terms = {}
        return _together(self._sought[self.place], columns, passages)


async def frequencies(session: AsyncSession, asked: AskedTerms) -> dict[tuple[str, str], int]:
    """In how many passages each of the words stands, by language and term."""
    rows = await binary_rows(session, COUNTS, _parameters(asked.terms))
    return {(language, term): passages for language, term, passages in rows}


async def frequencies_in_sight(
    session: AsyncSession, asked: AskedTerms, ranges: DocumentRanges
) -> tuple[dict[tuple[str, str], int], bool]:
    """The same in these documents, of the longest words, and whether these are all."""
    sought = _sought(asked)
    standing = {(each.language, each.name): 0 for each in sought}
    async with aclosing(_in_sight(session, sought, ranges, 0)) as found:
        async for (place, _), _, passages in found:
            standing[sought[place].language, sought[place].name] = passages
    return standing, len(sought) == len(asked.terms)


def _sought(asked: AskedTerms) -> list[AskedTerm]:
    words = [term for term in asked.terms if term.prefix is None]
    words.sort(key=lambda each: (-len(each.name), each.positions, each.name, each.language))
    return words[:MAX_ASKED] + [term for term in asked.terms if term.prefix is not None]


async def document_ranges(session: AsyncSession, wanted: FileFilter) -> DocumentRanges:
    """Of all documents that the caller may read, whatever the filter."""
    rows = await binary_rows(session, _RANGES, filter_parameters(wanted))
    of_language = {language: np.frombuffer(joined, _RANGE) for language, joined in rows}
    ranges = np.concatenate([np.empty(0, _RANGE), *of_language.values()])
    ranges = ranges[np.argsort(ranges["first"])]
    return DocumentRanges(
        ranges["first"].astype(np.int64),
        ranges["passages"].astype(np.int64),
        ranges["wanted"].astype(np.bool_),
        {
            language: Extent(int(each["passages"].sum()), int(each["terms"].sum()))
            for language, each in of_language.items()
        },
    )


def _parameters(asked: Sequence[AskedTerm]) -> dict[str, object]:
    """By their places among those that are asked for."""
    words = [(each, term, at) for at, each in enumerate(asked) for term in each.all_terms]
    begun = [(each, at) for at, each in enumerate(asked) if each.prefix is not None]
    return {
        "languages": [each.language for each, _, _ in words],
        "terms": [term for _, term, _ in words],
        "places": [at for _, _, at in words],
        "own": [term in each.terms for each, term, _ in words],
        "prefix_languages": [each.language for each, _ in begun],
        "prefixes": [each.prefix for each, _ in begun],
        "prefix_places": [at for _, at in begun],
        "last_letter": LAST_LETTER,
    }


async def _in_sight(
    session: AsyncSession, asked: Sequence[AskedTerm], ranges: DocumentRanges, most: int
) -> AsyncGenerator[tuple[tuple[int, str], list[Columns], int], None]:
    """Each term that stands somewhere, with the place of what it was asked for by, its entries in these
    documents from the newest on, some `most` of them, and how many there are."""
    current: tuple[int, str] | None = None
    parts, passages = list[Columns](), 0
    async with aclosing(_batches(session, _parameters(asked))) as batches:
        async for of_term, blocks in batches:
            if of_term != current:
                if current is not None:
                    yield current, parts, passages
                current, parts, passages = of_term, [], 0
            found = await asyncio.to_thread(_restricted, blocks, ranges)
            if passages < most:
                parts.append(found)
            passages += len(found[0])
    if current is not None:
        yield current, parts, passages


async def _batches(
    session: AsyncSession, parameters: Mapping[str, object]
) -> AsyncGenerator[tuple[tuple[int, str], list[tuple[int, bytes]]], None]:
    """Rows of one term each, of ENTRIES_AT_A_TIME and a row at most."""
    current, blocks, size = (0, ""), list[tuple[int, bytes]](), 0
    async with aclosing(streamed_rows(session, ROWS, parameters)) as rows:
        async for place, term, first_number, entries in rows:
            is_full = size >= ENTRIES_AT_A_TIME * ENTRY.itemsize
            if blocks and ((place, term) != current or is_full):
                yield current, blocks
                blocks, size = [], 0
            current = place, term
            blocks.append((first_number, entries))
            size += len(entries)
    if blocks:
        yield current, blocks


def _restricted(blocks: Sequence[tuple[int, bytes]], ranges: DocumentRanges) -> Columns:
    numbers, frequencies, lengths = joined(sorted(blocks))
    places = ranges.places_in(numbers)
    return numbers[places], frequencies[places], lengths[places]


def _together(
    asked: AskedTerm, columns: Mapping[str, Columns], passages: Mapping[str, int]
) -> TermPostings | None:
    """Of its terms that stand somewhere; None where these are none that it needs. `passages`: in how many
    each stands, which may be more than are given. Where it stands anywhere, how rare it is has nothing to do
    with its synonyms."""
    own = [
        term
        for term in columns
        if term in asked.terms or (asked.prefix is not None and term.startswith(asked.prefix))
    ]
    others = [
        common([columns[term] for term in each])
        for each in asked.alternatives
        if all(term in columns for term in each)
    ]
    parts = [columns[term] for term in own]
    if len(parts) > 1:
        parts = [union(parts)]
    standing = max([len(each[0]) for each in parts] + [passages[term] for term in own], default=0)
    if others:
        parts.append(evenly(union(others), SYNONYM_WEIGHT))
    if not parts:
        return None
    numbers, frequencies, lengths = parts[0] if len(parts) == 1 else union(parts)
    return TermPostings(
        asked.language,
        asked.name,
        asked.occurrences,
        numbers,
        frequencies,
        lengths,
        standing or len(numbers),
    )

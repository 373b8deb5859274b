"""What a search by words asks of PostgreSQL: how much there is, where its terms stand, and which of the
passages that it thinks best the caller may have.

Statistics are the tenant's, where the caller may read all that it has. Who may not has those of what is
in sight, and so has the choice of the terms that are scored: neither scores nor `truncated` then tell of
anything else.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.binary_rows import binary_rows, streamed_rows
from db.queries.postings import ENTRY
from db.queries.search import SEARCHABLE, WANTED, FileFilter, filter_parameters

MAX_TERMS = 64
"""Distinct query terms that are scored: those that stand in the least share of their language's passages.
The commonest of so many decide nothing."""
MAX_ENTRIES = 4_000_000
"""What the scored terms come to together. Of a term that comes to more by itself the newest are read."""
MAX_ASKED = 128
"""Terms that are looked for where it is found out for each passage whether it is in sight: the longest. What
is hidden has no say in which."""
ENTRIES_AT_A_TIME = 500_000

Numbers = npt.NDArray[np.int64]

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
    frequencies: npt.NDArray[np.uint8]
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

_ASKED = """
    asked AS MATERIALIZED (
        SELECT asked.language, asked.passages AS of_language, word.lexeme AS term,
               cardinality(word.positions) AS occurrences, word.positions
        FROM unnest(CAST(:languages AS text[]), CAST(:passages AS bigint[])) AS asked(language, passages)
        CROSS JOIN LATERAL unnest(to_tsvector(
            CAST(asked.language AS regconfig), searchable_words(CAST(:query AS text)))) AS word
    )
"""

_FOUND = f"""
    {_ASKED},
    found AS MATERIALIZED (
        SELECT asked.language, asked.of_language, asked.term, asked.occurrences,
               sum(posting.passages) AS passages
        FROM asked
        JOIN posting ON posting.tenant_id = (SELECT current_tenant())
            AND posting.language = asked.language AND posting.term = asked.term
        GROUP BY asked.language, asked.of_language, asked.term, asked.occurrences
    )
"""  # noqa: S608 - made of the constants above; every value is bound

# Rows of the one term that comes to too much by itself are read from the newest on.
_POSTINGS = f"""
    WITH {_FOUND},
    ranked AS (
        SELECT *, row_number() OVER rarest AS place, sum(passages) OVER rarest AS entries FROM found
        WINDOW rarest AS (
            ORDER BY passages / greatest(of_language, 1), passages, language, term ROWS UNBOUNDED PRECEDING)
    ),
    chosen AS MATERIALIZED (
        SELECT language, term, occurrences, passages FROM ranked
        WHERE place <= :max_terms AND (place = 1 OR entries <= :max_entries)
    ),
    beyond AS MATERIALIZED (
        SELECT max(each.first_number) AS number FROM (
            SELECT posting.first_number, posting.passages,
                   sum(posting.passages) OVER (ORDER BY posting.first_number DESC) AS newer
            FROM chosen
            JOIN posting ON posting.tenant_id = (SELECT current_tenant())
                AND posting.language = chosen.language AND posting.term = chosen.term
            WHERE chosen.passages > :max_entries
        ) AS each
        WHERE each.newer - each.passages >= :max_entries
    )
    SELECT chosen.language, chosen.term, chosen.occurrences, posting.first_number, posting.entries,
           CAST(chosen.passages AS bigint),
           (SELECT number FROM beyond) IS NOT NULL
               OR (SELECT count(*) FROM found) > (SELECT count(*) FROM chosen)
    FROM chosen
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = chosen.language AND posting.term = chosen.term
    WHERE posting.first_number > coalesce((SELECT number FROM beyond), -1)
"""  # noqa: S608 - made of the constants above; every value is bound

_LONGEST = f"""
    WITH {_ASKED}
    SELECT language, term, occurrences, count(*) OVER () > :max_asked FROM asked
    ORDER BY length(term) DESC, positions, term, language LIMIT :max_asked
"""  # noqa: S608 - made of the constants above; every value is bound

_ROWS = """
    SELECT asked.place, posting.first_number, posting.entries
    FROM unnest(CAST(:languages AS text[]), CAST(:terms AS text[]))
        WITH ORDINALITY AS asked(language, term, place)
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = asked.language AND posting.term = asked.term
    ORDER BY asked.place, posting.first_number DESC
"""

# A word that a language leaves out stands in each of its passages, as far as can be told. Words of one
# question have the same places in it in each language.
_MEANT = f"""
    WITH {_ASKED},
    word AS (
        SELECT lexeme, unnest(positions) AS place
        FROM unnest(to_tsvector('english', searchable_words(CAST(:query AS text))))
    ),
    meant AS (SELECT language, term, unnest(positions) AS place FROM asked)
    SELECT DISTINCT word.lexeme, CAST(given.language AS text), meant.term
    FROM word
    CROSS JOIN unnest(CAST(:languages AS text[])) AS given(language)
    LEFT JOIN meant ON meant.language = given.language AND meant.place = word.place
"""  # noqa: S608 - made of the constants above; every value is bound

_COUNTS = f"""
    WITH {_FOUND}
    SELECT language, term, CAST(passages AS bigint) FROM found
"""  # noqa: S608 - made of the constants above; every value is bound

_RANGES = f"""
WITH {SEARCHABLE}
SELECT document.language, string_agg(
    int8send(document.first_number) || int4send(document.passages) || int8send(document.terms)
        || int2send(CAST(CAST(searchable.wanted AS int) AS int2)),
    '' ORDER BY document.first_number)
FROM searchable JOIN lexical_document AS document ON document.version_id = searchable.version_id
GROUP BY document.language
"""  # noqa: S608 - made of the constants above; every value is bound

# Only the candidates' files are looked at, however many there are. `IS TRUE` has PostgreSQL hash them: it
# takes them for few, and would compare each with each.
_VISIBLE = """
WITH candidate AS MATERIALIZED (
    SELECT given.number, document.file_id, document.version_id,
           given.number - document.first_number AS ordinal
    FROM unnest(CAST(:numbers AS bigint[])) AS given(number)
    CROSS JOIN LATERAL (
        SELECT file_id, version_id, first_number, passages FROM lexical_document
        WHERE tenant_id = (SELECT current_tenant()) AND first_number <= given.number
        ORDER BY first_number DESC LIMIT 1
    ) AS document
    WHERE given.number < document.first_number + document.passages
),
shown AS MATERIALIZED (
    SELECT file_version.id AS version_id
    FROM visible_files('read') AS visible(file_id)
    JOIN file ON file.id = visible.file_id
    JOIN file_version
        ON file_version.file_id = file.id AND file_version.number = file.current_version
    WHERE file.state = 'ready' AND file.id = ANY (ARRAY(SELECT file_id FROM candidate))
        AND {wanted}
)
SELECT candidate.number, chunk.id
FROM candidate
JOIN chunk ON chunk.version_id = candidate.version_id AND chunk.ordinal = candidate.ordinal
WHERE (candidate.version_id IN (SELECT version_id FROM shown)) IS TRUE
"""
_VISIBLE_OF_ALL = _VISIBLE.format(wanted="true")
_VISIBLE_OF_WANTED = _VISIBLE.format(wanted=WANTED)


async def corpus(session: AsyncSession) -> Corpus:
    """What the tenant has."""
    row = (await session.execute(_CORPUS)).one()
    found = zip(row.languages, row.passages, row.terms, strict=True)
    return Corpus(row.sees_all, {language: Extent(*extent) for language, *extent in found})


async def postings(
    session: AsyncSession, query: str, extents: Mapping[str, Extent]
) -> QueryPostings:
    """Of the terms of a query, which may be any text without NUL, in each of the languages: for who may
    read all of them."""
    rows = await binary_rows(
        session,
        _POSTINGS,
        {**_question(query, extents), "max_terms": MAX_TERMS, "max_entries": MAX_ENTRIES},
    )
    blocks: dict[tuple[str, str, int, int], list[tuple[int, bytes]]] = {}
    for language, term, occurrences, first_number, entries, passages, _ in rows:
        found = blocks.setdefault((language, term, occurrences, passages), [])
        found.append((first_number, entries))
    return QueryPostings(
        tuple(
            TermPostings(language, term, occurrences, *_joined(sorted(found)), passages)
            for (language, term, occurrences, passages), found in blocks.items()
        ),
        truncated=bool(rows) and rows[0][6],
    )


async def postings_in_sight(
    session: AsyncSession, query: str, ranges: DocumentRanges
) -> QueryPostings:
    """The same of nothing but these documents. Holds twice MAX_ENTRIES, however much is hidden."""
    asked = await binary_rows(
        session, _LONGEST, {**_question(query, ranges.extents), "max_asked": MAX_ASKED}
    )
    kept: list[TermPostings] = []
    truncated = bool(asked) and asked[0][3]

    def share(term: TermPostings) -> tuple[float, int, str, str]:
        of_language = max(ranges.extents[term.language].passages, 1)
        return term.passages / of_language, term.passages, term.language, term.term

    least_left_out: tuple[float, int, str, str] | None = None
    async for place, parts, passages in _in_sight(session, asked, ranges, MAX_ENTRIES):
        if not passages:
            continue
        parts.reverse()
        columns = [np.concatenate(each) for each in zip(*parts, strict=True)]
        numbers, frequencies, lengths = columns
        if (numbers[1:] < numbers[:-1]).any():
            order = np.argsort(numbers)
            numbers, frequencies, lengths = (each[order] for each in columns)
        language, term, occurrences, _ = asked[place]
        kept.append(
            TermPostings(language, term, occurrences, numbers, frequencies, lengths, passages)
        )
        truncated = truncated or len(numbers) < passages
        kept.sort(key=share)
        while len(kept) > 1 and (
            len(kept) > MAX_TERMS
            or sum(len(each.numbers) for each in kept) > MAX_ENTRIES
            or (least_left_out is not None and share(kept[-1]) > least_left_out)
        ):
            least_left_out = share(kept.pop())
            truncated = True
    return QueryPostings(tuple(kept), truncated)


async def meanings(
    session: AsyncSession, query: str, languages: Sequence[str]
) -> list[tuple[str, str, str | None]]:
    """Each English lexeme of the query in each of the languages: the same word's term there, None where
    that language leaves the word out."""
    extents = dict.fromkeys(languages, Extent(0, 0))
    return [tuple(row) for row in await binary_rows(session, _MEANT, _question(query, extents))]


async def frequencies(
    session: AsyncSession, query: str, extents: Mapping[str, Extent]
) -> dict[tuple[str, str], int]:
    """In how many passages each of the query's terms stands, by language and term."""
    rows = await binary_rows(session, _COUNTS, _question(query, extents))
    return {(language, term): passages for language, term, passages in rows}


async def frequencies_in_sight(
    session: AsyncSession, query: str, ranges: DocumentRanges
) -> tuple[dict[tuple[str, str], int], bool]:
    """The same in these documents, of the longest terms, and whether these are all."""
    asked = await binary_rows(
        session, _LONGEST, {**_question(query, ranges.extents), "max_asked": MAX_ASKED}
    )
    found = {(language, term): 0 for language, term, *_ in asked}
    async for place, _, passages in _in_sight(session, asked, ranges, 0):
        found[asked[place][0], asked[place][1]] = passages
    return found, not asked or not asked[0][3]


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


async def visible_chunks(
    session: AsyncSession, numbers: Sequence[int], wanted: FileFilter
) -> dict[int, UUID]:
    """Ids of the chunks, by their numbers, that the caller may have now and wants."""
    parameters: dict[str, object] = {"numbers": list(numbers)}
    if wanted == FileFilter():
        return dict(await binary_rows(session, _VISIBLE_OF_ALL, parameters))
    parameters |= filter_parameters(wanted)
    return dict(await binary_rows(session, _VISIBLE_OF_WANTED, parameters))


def _question(query: str, extents: Mapping[str, Extent]) -> dict[str, object]:
    return {
        "query": query,
        "languages": list(extents),
        "passages": [extent.passages for extent in extents.values()],
    }


_Columns = tuple[Numbers, npt.NDArray[np.uint8], npt.NDArray[np.uint16]]


async def _in_sight(
    session: AsyncSession,
    asked: Sequence[tuple[str, str, int, bool]],
    ranges: DocumentRanges,
    most: int,
) -> AsyncIterator[tuple[int, list[_Columns], int]]:
    """Of each term that stands somewhere: its place among those that were asked for, its entries in these
    documents from the newest on, some `most` of them, and how many there are."""
    parameters = {"languages": [each[0] for each in asked], "terms": [each[1] for each in asked]}
    current, parts, passages = 0, list[_Columns](), 0
    async for place, blocks in _batches(session, parameters):
        if place != current:
            if current:
                yield current - 1, parts, passages
            current, parts, passages = place, [], 0
        found = await asyncio.to_thread(_restricted, blocks, ranges)
        if passages < most:
            parts.append(found)
        passages += len(found[0])
    if current:
        yield current - 1, parts, passages


async def _batches(
    session: AsyncSession, parameters: Mapping[str, object]
) -> AsyncIterator[tuple[int, list[tuple[int, bytes]]]]:
    """Rows of one term each, of ENTRIES_AT_A_TIME and a row at most."""
    current, blocks, size = 0, list[tuple[int, bytes]](), 0
    async for place, first_number, entries in streamed_rows(session, _ROWS, parameters):
        if blocks and (place != current or size >= ENTRIES_AT_A_TIME * ENTRY.itemsize):
            yield current, blocks
            blocks, size = [], 0
        current = place
        blocks.append((first_number, entries))
        size += len(entries)
    if blocks:
        yield current, blocks


def _restricted(blocks: Sequence[tuple[int, bytes]], ranges: DocumentRanges) -> _Columns:
    numbers, frequencies, lengths = _joined(sorted(blocks))
    places = ranges.places_in(numbers)
    return numbers[places], frequencies[places], lengths[places]


def _joined(blocks: Sequence[tuple[int, bytes]]) -> _Columns:
    entries = np.frombuffer(b"".join(each for _, each in blocks), ENTRY)
    sizes = [len(each) // ENTRY.itemsize for _, each in blocks]
    numbers = np.repeat(np.array([first for first, _ in blocks], np.int64), sizes)
    numbers += entries["offset"]
    borders = np.cumsum(sizes)[:-1]
    if (numbers[borders] < numbers[borders - 1]).any():
        # What was reserved first was published last.
        order = np.argsort(numbers)
        numbers, entries = numbers[order], entries[order]
    return numbers, entries["frequency"].copy(), entries["length"].astype(np.uint16)

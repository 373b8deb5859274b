"""What a search by words asks of PostgreSQL: how much there is, where its terms stand, and which of the
passages that it thinks best the caller may have.

Statistics are the tenant's, where the caller may read all that it has. Who may not has those of what is
in sight: scores then do not tell of anything else.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.binary_rows import binary_rows
from db.queries.postings import ENTRY
from db.queries.search import SEARCHABLE, WANTED, FileFilter, filter_parameters

MAX_TERMS = 64
"""Distinct query terms that are scored: the rarest that occur. The commonest of so many decide
nothing."""
MAX_ENTRIES = 4_000_000
"""What the scored terms come to together, unless it is one: 28 MB, and five times that while it is scored."""

Numbers = npt.NDArray[np.int64]

_RANGE = np.dtype([("first", ">i8"), ("passages", ">i4"), ("terms", ">i8"), ("wanted", ">i2")])


@dataclass(frozen=True)
class Corpus:
    """`sees_all`: nothing of the tenant is hidden from the caller. `languages` of the documents,
    `passages` and `terms` in all of them."""

    sees_all: bool
    languages: tuple[str, ...]
    passages: int
    terms: int


@dataclass(frozen=True)
class TermPostings:
    """Where a term of the query stands: a number, a frequency and a length for each passage, in the order of
    the numbers."""

    language: str
    term: str
    occurrences: int
    """How often it stands in the query."""
    numbers: Numbers
    frequencies: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class QueryPostings:
    """`truncated` when more of the query's terms occur than are scored."""

    terms: tuple[TermPostings, ...]
    truncated: bool


@dataclass(frozen=True)
class DocumentRanges:
    """The searchable documents that the caller may read, by their first numbers. `wanted`: it passes
    the filter."""

    first: Numbers
    passages: Numbers
    terms: Numbers
    wanted: npt.NDArray[np.bool_]


_CORPUS = text(
    """
    SELECT
        current_principal() IS NULL
            OR EXISTS (SELECT 1 FROM principal WHERE id = current_principal() AND is_admin)
            OR NOT EXISTS (SELECT 1 FROM collection WHERE visibility <> 'tenant') AS sees_all,
        coalesce(array_agg(document.language ORDER BY document.language), '{}') AS languages,
        CAST(coalesce(sum(document.passages), 0) AS bigint) AS passages,
        CAST(coalesce(sum(document.terms), 0) AS bigint) AS terms
    FROM (
        SELECT language, sum(passages) AS passages, sum(terms) AS terms
        FROM lexical_document WHERE tenant_id = (SELECT current_tenant())
        GROUP BY language
    ) AS document
    """
)

_POSTINGS = """
    WITH asked AS MATERIALIZED (
        SELECT asked.language, word.lexeme AS term, cardinality(word.positions) AS occurrences
        FROM unnest(CAST(:languages AS text[])) AS asked(language)
        CROSS JOIN LATERAL unnest(to_tsvector(
            CAST(asked.language AS regconfig), searchable_words(CAST(:query AS text)))) AS word
    ),
    found AS MATERIALIZED (
        SELECT asked.language, asked.term, asked.occurrences, sum(posting.passages) AS passages
        FROM asked
        JOIN posting ON posting.tenant_id = (SELECT current_tenant())
            AND posting.language = asked.language AND posting.term = asked.term
        GROUP BY asked.language, asked.term, asked.occurrences
    ),
    ranked AS (
        SELECT *, row_number() OVER rarest AS place, sum(passages) OVER rarest AS entries FROM found
        WINDOW rarest AS (ORDER BY passages, language, term)
    ),
    chosen AS MATERIALIZED (
        SELECT language, term, occurrences FROM ranked
        WHERE place <= :max_terms AND (place = 1 OR entries <= :max_entries)
    )
    SELECT chosen.language, chosen.term, chosen.occurrences, posting.first_number, posting.entries,
           (SELECT count(*) FROM found) > (SELECT count(*) FROM chosen)
    FROM chosen
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = chosen.language AND posting.term = chosen.term
"""

_RANGES = f"""
WITH {SEARCHABLE}
SELECT string_agg(
    int8send(document.first_number) || int4send(document.passages) || int8send(document.terms)
        || int2send(CAST(CAST(searchable.wanted AS int) AS int2)),
    '' ORDER BY document.first_number)
FROM searchable JOIN lexical_document AS document ON document.version_id = searchable.version_id
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
    return Corpus(row.sees_all, tuple(row.languages), row.passages, row.terms)


async def postings(session: AsyncSession, query: str, languages: Sequence[str]) -> QueryPostings:
    """Of the terms of a query, which may be any text without NUL, in each of the languages."""
    rows = await binary_rows(
        session,
        _POSTINGS,
        {
            "query": query,
            "languages": list(languages),
            "max_terms": MAX_TERMS,
            "max_entries": MAX_ENTRIES,
        },
    )
    blocks: dict[tuple[str, str, int], list[tuple[int, bytes]]] = {}
    for language, term, occurrences, first_number, entries, _ in rows:
        blocks.setdefault((language, term, occurrences), []).append((first_number, entries))
    return QueryPostings(
        tuple(_term(*asked, sorted(found)) for asked, found in blocks.items()),
        truncated=bool(rows) and rows[0][5],
    )


async def document_ranges(session: AsyncSession, wanted: FileFilter) -> DocumentRanges:
    """Of all documents that the caller may read, whatever the filter."""
    ((joined,),) = await binary_rows(session, _RANGES, filter_parameters(wanted))
    ranges = np.frombuffer(joined or b"", _RANGE)
    return DocumentRanges(
        ranges["first"].astype(np.int64),
        ranges["passages"].astype(np.int64),
        ranges["terms"].astype(np.int64),
        ranges["wanted"].astype(np.bool_),
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


def _term(
    language: str, term: str, occurrences: int, blocks: Sequence[tuple[int, bytes]]
) -> TermPostings:
    entries = np.frombuffer(b"".join(each for _, each in blocks), ENTRY)
    sizes = [len(each) // ENTRY.itemsize for _, each in blocks]
    numbers = np.repeat(np.array([first for first, _ in blocks], np.int64), sizes)
    numbers += entries["offset"]
    borders = np.cumsum(sizes)[:-1]
    if (numbers[borders] < numbers[borders - 1]).any():
        # What was reserved first was published last.
        order = np.argsort(numbers)
        numbers, entries = numbers[order], entries[order]
    return TermPostings(
        language,
        term,
        occurrences,
        numbers,
        entries["frequency"],
        entries["length"].astype(np.uint16),
    )

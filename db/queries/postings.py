"""How the words of passages enter the lexical index, and how they leave it.

Each passage has a number, unique among all tenants: the first one of its document plus its ordinal. A
row of `posting` holds what a term came to in many passages: for each its number less the row's
`first_number`, how often the term stands in it, and how many terms it has, in the order of the numbers,
`ENTRY` by `ENTRY`. What was published of late stands in `unmerged_posting` instead, where a row has many
terms of one publication, the entries of each as in a row of `posting`.

Who publishes only adds rows. Who deletes takes out those that are unmerged, and notes in `posting_removal`
which terms are to forget which numbers.
Rows are rewritten under one lock per tenant: by maintenance, and by an erasure for its own file.
"""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.binary_rows import binary_rows
from db.models import new_id
from db.queries.publication_statements import (
    ADD_ROWS_OF_TERMS,
    ADD_UNMERGED,
    BEGIN_DOCUMENT,
    FORGET_UNMERGED,
    MAY_WAIT,
    TAKE_UNMERGED,
)

ENTRY = np.dtype([("offset", ">i4"), ("frequency", "u1"), ("length", ">u2")])
"""Seven bytes. PostgreSQL counts a lexeme up to 255 times; longer passages than 65,535 terms count as
that long."""
SPAN = 1 << 31
"""Numbers that an offset can tell apart."""
BLOCK_ENTRIES = 16_384
"""A full row, 115 kB: what is rewritten where one passage is forgotten."""
PASSAGES_PER_STATEMENT = 500
MAX_UNMERGED = 256
"""Publications of a language, each of a statement. They come to some ninety thousand terms for a search of
five words."""
MAX_UNMERGED_PASSAGES = 50_000
"""Of a language. What a search takes longer for what waits goes by them: 6 ms for so many."""
LEAST_ROWS_TO_MERGE = 8
"""Fewer small rows of a term cost a search nothing that could be seen."""
ENTRIES_PER_TRANSACTION = 2_000_000
KEYS_PER_TRANSACTION = 5_000
REMOVALS_PER_TRANSACTION = 500
TERMS_PER_REMOVALS = 50_000
"""Of so many removals each row is rewritten once for all that have its term."""
TERMS_PER_TRANSACTION = 2_000
UNMERGED_PER_TRANSACTION = 256
"""Rows of `unmerged_posting`: a share of all that may wait."""
DEFAULT_LANGUAGE = "english"

Entries = npt.NDArray[np.void]
"""Of ENTRY."""


class PostingsBusy(Exception):
    """Another transaction rewrites the tenant's postings: to be tried again in a while, in a new one."""


@dataclass(frozen=True, order=True)
class PostingKey:
    """A row of the tenant's postings."""

    language: str
    term: str
    first_number: int


@dataclass(frozen=True)
class _Row:
    key: PostingKey
    entries: Entries

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        return self.key.first_number + self.entries["offset"].astype(np.int64)


@dataclass(frozen=True)
class Unmerged:
    """`parts`: of documents, each of which left rows of its own. `newest`: the greatest first number of a
    document."""

    parts: int
    newest: int


@dataclass(frozen=True)
class MergedPage:
    """`last`: where the next page begins; none at the end of the index."""

    last: PostingKey | None
    rows_before: int
    rows_after: int


_NOTE_REMOVAL = text(
    """
    INSERT INTO posting_removal
        (id, tenant_id, file_id, language, first_number, last_number, terms)
    SELECT :id, document.tenant_id, document.file_id, document.language,
           min(document.first_number + chunk.ordinal), max(document.first_number + chunk.ordinal),
           array_agg(DISTINCT word.lexeme)
    FROM chunk
    JOIN lexical_document AS document ON document.version_id = chunk.version_id
    CROSS JOIN LATERAL unnest(to_tsvector(
        CAST(document.language AS regconfig),
        searchable_words(array_to_string(chunk.headings || chunk.text, ' ')))) AS word
    WHERE chunk.version_id = :version_id
        AND chunk.ordinal >= :start AND chunk.ordinal < :start + :amount
    GROUP BY document.version_id
    """
)

# For as long as the transaction lasts. Who holds it rewrites rows; publications do without.
_TRY_LOCK = text(
    "SELECT pg_try_advisory_xact_lock(hashtext('posting'), hashtext(CAST(current_tenant() AS text)))"
)

_ANY_REMOVAL = text(
    """
    SELECT EXISTS (
        SELECT FROM posting_removal
        WHERE tenant_id = (SELECT current_tenant())
            AND (CAST(:file_id AS uuid) IS NULL OR file_id = :file_id))
    """
)

_REMOVALS = """
    SELECT id, language, first_number, last_number, terms FROM (
        SELECT *, sum(cardinality(terms)) OVER (ORDER BY id) - cardinality(terms) AS terms_before
        FROM (
            SELECT id, language, first_number, last_number, terms FROM posting_removal
            WHERE tenant_id = (SELECT current_tenant())
                AND (CAST(:file_id AS uuid) IS NULL OR file_id = :file_id)
                AND language = (
                    SELECT oldest.language FROM posting_removal AS oldest
                    WHERE oldest.tenant_id = (SELECT current_tenant())
                        AND (CAST(:file_id AS uuid) IS NULL OR oldest.file_id = :file_id)
                    ORDER BY oldest.id LIMIT 1)
            ORDER BY id LIMIT :most
        ) AS removal
    ) AS removal
    WHERE terms_before < :most_terms
"""

_KEYS_OF_TERMS = """
    SELECT DISTINCT posting.term, posting.first_number, posting.passages
    FROM unnest(CAST(:terms AS text[]), CAST(:firsts AS bigint[]), CAST(:lasts AS bigint[]))
        AS removed(term, first, last)
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = :language AND posting.term = removed.term
        AND posting.first_number <= removed.last AND posting.last_number >= removed.first
    ORDER BY posting.term, posting.first_number
"""

_SHORTEN_REMOVALS = text(
    """
    UPDATE posting_removal
    SET terms = ARRAY(SELECT term FROM unnest(terms) AS term WHERE term COLLATE "C" > :last_term)
    WHERE id = ANY (CAST(:ids AS uuid[]))
    """
)

_SMALL_ROWS = """
    SELECT language, term, first_number, passages FROM posting
    WHERE tenant_id = (SELECT current_tenant())
        AND (language, term, first_number) > (:language, :term, :first_number)
        AND passages < :most
    ORDER BY language, term, first_number LIMIT :limit
"""

_ROWS_OF_KEYS = """
    SELECT posting.language, posting.term, posting.first_number, posting.entries
    FROM unnest(CAST(:languages AS text[]), CAST(:terms AS text[]),
                CAST(:numbers AS bigint[])) AS wanted(language, term, first_number)
    JOIN posting ON posting.tenant_id = (SELECT current_tenant())
        AND posting.language = wanted.language AND posting.term = wanted.term
        AND posting.first_number = wanted.first_number
    ORDER BY language, term, first_number
"""

_DELETE_ROWS = text(
    """
    DELETE FROM posting
    USING unnest(CAST(:languages AS text[]), CAST(:terms AS text[]), CAST(:numbers AS bigint[]))
        AS gone(language, term, first_number)
    WHERE posting.tenant_id = (SELECT current_tenant()) AND posting.language = gone.language
        AND posting.term = gone.term AND posting.first_number = gone.first_number
    """
)

_INSERT_ROWS = text(
    """
    INSERT INTO posting (tenant_id, language, term, first_number, last_number, passages, entries)
    SELECT current_tenant(), item.* FROM unnest(
        CAST(:languages AS text[]), CAST(:terms AS text[]), CAST(:numbers AS bigint[]),
        CAST(:last_numbers AS bigint[]), CAST(:passages AS int[]), CAST(:entries AS bytea[])) AS item
    """
)


async def index_words(
    session: AsyncSession, version_id: UUID, language: str = DEFAULT_LANGUAGE
) -> None:
    """Makes the words of a version's chunks, which are there already, searchable: the lexemes of headings
    and text. Those that are sealed have none."""
    begun = (
        await session.execute(BEGIN_DOCUMENT, {"version_id": version_id, "language": language})
    ).one_or_none()
    if begun is None:
        return
    for start in range(0, begun.passages, PASSAGES_PER_STATEMENT):
        bounds = {"most": MAX_UNMERGED, "most_passages": MAX_UNMERGED_PASSAGES}
        may_wait = await session.scalar(MAY_WAIT, {"language": language, **bounds})
        await session.execute(
            ADD_UNMERGED if may_wait else ADD_ROWS_OF_TERMS,
            {
                "version_id": version_id,
                "language": language,
                "start": start,
                "amount": min(PASSAGES_PER_STATEMENT, begun.passages - start),
                "first_number": begun.first_number + start,
            },
        )


async def forget_words(session: AsyncSession, file_id: UUID) -> None:
    """Takes the file's versions out of the index, before their chunks are deleted: nothing of them is
    found from the commit on, and what of them is left in rows of terms goes in a round of maintenance."""
    documents = await session.execute(
        text("SELECT version_id, passages FROM lexical_document WHERE file_id = :file_id"),
        {"file_id": file_id},
    )
    for version_id, passages in documents.all():
        for start in range(0, passages, PASSAGES_PER_STATEMENT):
            part = {"id": new_id(), "version_id": version_id, "start": start}
            await session.execute(_NOTE_REMOVAL, part | {"amount": PASSAGES_PER_STATEMENT})
    # A merge that is at work on them holds this up until it has committed; the notes tell what it wrote.
    await session.execute(FORGET_UNMERGED, {"file_id": file_id})
    await session.execute(
        text("DELETE FROM lexical_document WHERE file_id = :file_id"), {"file_id": file_id}
    )


async def purge_removals(session: AsyncSession, file_id: UUID | None = None) -> int | None:
    """Takes what was removed, of that file if one is given, out of the postings of as many terms as a
    transaction takes; how many removals are done with, None where there was none. Takes the tenant's lock
    where there is one: PostingsBusy when another has it."""
    if not await session.scalar(_ANY_REMOVAL, {"file_id": file_id}):
        return None
    await _lock(session)
    removals = await binary_rows(
        session,
        _REMOVALS,
        {"file_id": file_id, "most": REMOVALS_PER_TRANSACTION, "most_terms": TERMS_PER_REMOVALS},
    )
    if not removals:
        return None
    language = removals[0][1]
    ranges = sorted((first, last) for _, _, first, last, _ in removals)
    removed = sorted((term, first, last) for _, _, first, last, terms in removals for term in terms)
    terms = sorted({term for term, _, _ in removed})[:TERMS_PER_TRANSACTION]
    wanted = [each for each in removed if terms and each[0] <= terms[-1]]
    found = await binary_rows(
        session,
        _KEYS_OF_TERMS,
        {
            "language": language,
            "terms": [each[0] for each in wanted],
            "firsts": [each[1] for each in wanted],
            "lasts": [each[2] for each in wanted],
        },
    )
    last_term, keys = _as_many_terms(found, terms[-1] if terms else "")
    for part in _parts([(PostingKey(language, *each[:2]), each[2]) for each in keys]):
        rows = [_row(*each) for each in await binary_rows(session, _ROWS_OF_KEYS, _columns(part))]
        kept = await asyncio.to_thread(_kept, rows, ranges)
        await _replace(session, rows, kept)
    ids = [each[0] for each in removals]
    await session.execute(_SHORTEN_REMOVALS, {"ids": ids, "last_term": last_term})
    done = await session.execute(
        text(
            "DELETE FROM posting_removal WHERE id = ANY (CAST(:ids AS uuid[]))"
            " AND cardinality(terms) = 0 RETURNING id"
        ),
        {"ids": ids},
    )
    return len(done.all())


def _as_many_terms(
    keys: Sequence[tuple[str, int, int]], last: str
) -> tuple[str, Sequence[tuple[str, int, int]]]:
    """Whole terms that come to ENTRIES_PER_TRANSACTION together, one at least: the last one, and their rows.
    All of them, up to `last`, where they are fewer."""
    entries = 0
    for place, (term, _, passages) in enumerate(keys):
        if entries >= ENTRIES_PER_TRANSACTION and term != keys[place - 1][0]:
            return keys[place - 1][0], keys[:place]
        entries += passages
    return last, keys


def _parts(keys: Sequence[tuple[PostingKey, int]]) -> Iterator[list[PostingKey]]:
    """As many rows as are held in memory at a time."""
    part, entries = list[PostingKey](), 0
    for key, passages in keys:
        if part and entries + passages > ENTRIES_PER_TRANSACTION:
            yield part
            part, entries = [], 0
        part.append(key)
        entries += passages
    if part:
        yield part


async def _lock(session: AsyncSession) -> None:
    """Tried once: who waited in here would keep a connection from others."""
    if not await session.scalar(_TRY_LOCK):
        raise PostingsBusy


async def unmerged(session: AsyncSession) -> Unmerged:
    """What was published since the last round of maintenance, or waits since an earlier one."""
    found = await session.execute(
        text(
            "SELECT greatest(coalesce(sum(1 + (passages - 1) / :each), 0), (SELECT count(*)"
            "   FROM unmerged_posting WHERE tenant_id = (SELECT current_tenant()) AND share = 0)),"
            " coalesce(max(first_number), 0) FROM lexical_document WHERE NOT is_merged"
        ),
        {"each": PASSAGES_PER_STATEMENT},
    )
    return Unmerged(*found.one())


async def mark_merged(session: AsyncSession, merged: Unmerged) -> None:
    """What was published after that round began is for the next one, and what others are at work on."""
    await session.execute(
        text(
            "UPDATE lexical_document SET is_merged = true WHERE version_id IN"
            " (SELECT version_id FROM lexical_document"
            " WHERE NOT is_merged AND first_number <= :newest FOR UPDATE SKIP LOCKED)"
        ),
        {"newest": merged.newest},
    )


async def merge_unmerged(session: AsyncSession) -> tuple[int, int] | None:
    """Puts what publications wait with into rows of terms, some rows of it: how many lists of entries there
    were, and how many rows came of them; None where nothing waits. Takes the tenant's lock: PostingsBusy
    when another has it. Rolled back or repeated it loses nothing."""
    await _lock(session)
    found = await binary_rows(session, TAKE_UNMERGED, {"limit": UNMERGED_PER_TRANSACTION})
    if not found:
        return None
    lists = [_row(*each) for each in found if each[1] is not None]
    merged = await asyncio.to_thread(_of_terms, lists)
    await _insert(session, merged)
    return len(lists), len(merged)


async def merge_page(session: AsyncSession, after: PostingKey | None) -> MergedPage:
    """Puts the small rows of each term together, for as many terms behind `after` as a transaction takes.
    Takes the tenant's lock: PostingsBusy when another has it. Rolled back or repeated it loses nothing."""
    await _lock(session)
    found = await binary_rows(
        session,
        _SMALL_ROWS,
        {
            "language": after.language if after else "",
            "term": after.term if after else "",
            "first_number": after.first_number if after else 0,
            "most": BLOCK_ENTRIES // 2,
            "limit": KEYS_PER_TRANSACTION,
        },
    )
    last, keys, entries = None, list[PostingKey](), 0
    for _, group in groupby(found, key=lambda each: (each[0], each[1])):
        rows = list(group)
        last = PostingKey(*rows[-1][:3])
        if len(rows) < LEAST_ROWS_TO_MERGE:
            continue
        keys += [PostingKey(*each[:3]) for each in rows]
        entries += sum(each[3] for each in rows)
        if entries > ENTRIES_PER_TRANSACTION:
            break
    is_end = len(found) < KEYS_PER_TRANSACTION and entries <= ENTRIES_PER_TRANSACTION
    small = [_row(*each) for each in await binary_rows(session, _ROWS_OF_KEYS, _columns(keys))]
    merged = _of_terms(small)
    await _replace(session, small, merged)
    return MergedPage(None if is_end else last, len(small), len(merged))


def _row(language: str, term: str, first_number: int, entries: bytes) -> _Row:
    return _Row(PostingKey(language, term, first_number), np.frombuffer(entries, ENTRY))


def _kept(rows: Sequence[_Row], ranges: Sequence[tuple[int, int]]) -> list[_Row]:
    without = (_without(row, ranges) for row in rows)
    return [row for row in without if len(row.entries)]


def _without(row: _Row, ranges: Sequence[tuple[int, int]]) -> _Row:
    """Without the numbers from the first to the last of each range; they are in order."""
    firsts, lasts = (np.array(each, np.int64) for each in zip(*ranges, strict=True))
    numbers = row.numbers
    places = np.searchsorted(firsts, numbers, side="right") - 1
    is_gone = (places >= 0) & (numbers <= lasts[places])
    return _Row(row.key, row.entries[~is_gone])


def _of_terms(rows: Sequence[_Row]) -> list[_Row]:
    """Rows in the order of their terms, those of each term put together."""
    return [
        block
        for _, group in groupby(rows, key=lambda row: (row.key.language, row.key.term))
        for block in _merged(list(group))
    ]


def _merged(rows: Sequence[_Row]) -> Iterable[_Row]:
    """Rows of one term, in their order, as few as can hold them."""
    numbers = np.concatenate([row.numbers for row in rows])
    # Joined arrays have the machine's own order of bytes.
    entries = np.concatenate([row.entries for row in rows]).astype(ENTRY)
    order = np.argsort(numbers, kind="stable")
    numbers, entries = numbers[order], entries[order]
    start = 0
    while start < len(numbers):
        base = int(numbers[start])
        end = min(start + BLOCK_ENTRIES, int(np.searchsorted(numbers, base + SPAN)))
        block = entries[start:end].copy()
        block["offset"] = numbers[start:end] - base
        yield _Row(PostingKey(rows[0].key.language, rows[0].key.term, base), block)
        start = end


async def _replace(session: AsyncSession, gone: Sequence[_Row], come: Sequence[_Row]) -> None:
    await session.execute(_DELETE_ROWS, _columns([row.key for row in gone]))
    await _insert(session, come)


async def _insert(session: AsyncSession, come: Sequence[_Row]) -> None:
    await session.execute(
        _INSERT_ROWS,
        {
            **_columns([row.key for row in come]),
            "last_numbers": [int(row.numbers[-1]) for row in come],
            "passages": [len(row.entries) for row in come],
            "entries": [row.entries.tobytes() for row in come],
        },
    )


def _columns(keys: Sequence[PostingKey]) -> dict[str, list[str] | list[int] | list[bytes]]:
    return {
        "languages": [key.language for key in keys],
        "terms": [key.term for key in keys],
        "numbers": [key.first_number for key in keys],
    }

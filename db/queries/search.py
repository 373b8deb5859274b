"""What searches ask of PostgreSQL: BM25 over postings, passages to show; of vectors, `db.queries.vectors`.

Every statement starts from `SEARCHABLE`: the current versions of the `ready` files that the
caller may read. So a file in the trash, an old version, another tenant's or another principal's
file is out of every search, its statistics and its answers as soon as that is committed.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

K1 = 1.2
B = 0.75
MAX_TERMS = 64
"""Distinct query terms that are scored: the rarest that occur. The commonest of so many decide
nothing."""

HIGHLIGHT_START, HIGHLIGHT_STOP = "\ufdd0", "\ufdd1"
"""Unicode noncharacters (Unicode 16, 23.7): no text that is meant for interchange holds them."""


class MetadataOperator(StrEnum):
    ONE_OF = "one_of"
    AT_LEAST = "at_least"
    GREATER = "greater"
    AT_MOST = "at_most"
    LESS = "less"


@dataclass(frozen=True)
class MetadataCondition:
    """On one metadata field. `value` is a list for ONE_OF, where a list in the field matches by any
    of its members and null by absence; else a number or a string, which only its like satisfies."""

    key: str
    operator: MetadataOperator
    value: JsonValue


@dataclass(frozen=True)
class FileFilter:
    """Which files' passages are wanted; an empty one wants all.

    `collection` is an id or a name. `media_types` are LIKE patterns. Times are inclusive below and
    exclusive above.
    """

    collection: str | None = None
    media_types: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    file_ids: tuple[UUID, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None
    metadata: tuple[MetadataCondition, ...] = ()


@dataclass(frozen=True)
class ScoredChunk:
    chunk_id: UUID
    score: float


@dataclass(frozen=True)
class LexicalMatches:
    """Best first; `truncated` when more of the query's terms occur than are scored."""

    chunks: tuple[ScoredChunk, ...]
    truncated: bool


@dataclass(frozen=True)
class TermWeight:
    """A lexeme of the query and its inverse document frequency in what the caller may read."""

    term: str
    idf: float


@dataclass(frozen=True)
class FoundPassage:
    """`marked_text` is `text` with HIGHLIGHT_START and HIGHLIGHT_STOP around what the query matches;
    absent when the query has no terms. Of a sealed one `sealed_text` is text and headings under the key
    in the blob `text_key_id`, by the place that version and ordinal make."""

    chunk_id: UUID
    file_id: UUID
    version_id: UUID
    version: int
    ordinal: int
    name: str
    text: str
    headings: tuple[str, ...]
    pages: tuple[int, ...]
    boxes: tuple[JsonValue, ...]
    marked_text: str | None
    sealed_text: bytes | None = None
    text_key_id: UUID | None = None


SEARCHABLE = """
searchable AS MATERIALIZED (
    SELECT
        file.id AS file_id,
        file.name,
        file_version.id AS version_id,
        file_version.number,
        (CAST(:collection AS text) IS NULL
            OR file.collection_id IN (
                SELECT collection.id FROM collection
                WHERE collection.name = :collection OR CAST(collection.id AS text) = :collection))
        AND (CAST(:media_types AS text[]) IS NULL OR file.media_type LIKE ANY (CAST(:media_types AS text[])))
        AND (CAST(:labels AS text[]) IS NULL OR file.labels && CAST(:labels AS text[]))
        AND (CAST(:file_ids AS uuid[]) IS NULL OR file.id = ANY (CAST(:file_ids AS uuid[])))
        AND (CAST(:created_from AS timestamptz) IS NULL OR file.created_at >= :created_from)
        AND (CAST(:created_before AS timestamptz) IS NULL OR file.created_at < :created_before)
        AND NOT EXISTS (
            SELECT 1
            FROM jsonb_to_recordset(CAST(:conditions AS jsonb))
                AS condition(key text, operator text, value jsonb)
            WHERE NOT coalesce(
                CASE
                    WHEN operator = 'one_of' THEN EXISTS (
                        SELECT 1 FROM jsonb_array_elements(value) AS choice
                        WHERE coalesce(file.metadata -> key, 'null') @> choice)
                    WHEN jsonb_typeof(file.metadata -> key) <> jsonb_typeof(value) THEN false
                    WHEN operator = 'at_least' THEN file.metadata -> key >= value
                    WHEN operator = 'greater' THEN file.metadata -> key > value
                    WHEN operator = 'at_most' THEN file.metadata -> key <= value
                    WHEN operator = 'less' THEN file.metadata -> key < value
                END,
                false)
        ) AS wanted
    FROM visible_files('read') AS visible(file_id)
    JOIN file ON file.id = visible.file_id
    JOIN file_version
        ON file_version.file_id = file.id AND file_version.number = file.current_version
    WHERE file.state = 'ready'
)
"""

_CORPUS = """
asked AS MATERIALIZED (
    SELECT lexeme AS term, cardinality(positions) AS occurrences
    FROM unnest(to_tsvector('english', CAST(:query AS text)))
),
passage AS MATERIALIZED (
    SELECT chunk.id, chunk.term_count, searchable.wanted
    FROM searchable JOIN chunk ON chunk.version_id = searchable.version_id
    WHERE chunk.text_key_id IS NULL  -- those that are sealed have no words here
),
corpus AS MATERIALIZED (
    SELECT
        CAST(count(*) AS float8) AS passages,
        greatest(CAST(avg(term_count) AS float8), 1) AS mean_length
    FROM passage
),
occurrence AS MATERIALIZED (
    SELECT
        posting.term,
        posting.chunk_id,
        asked.occurrences,
        posting.frequency,
        passage.term_count,
        passage.wanted
    FROM asked
    JOIN posting ON posting.tenant_id = (SELECT current_tenant()) AND posting.term = asked.term
    JOIN passage ON passage.id = posting.chunk_id
),
document_frequency AS (SELECT term, count(*) AS passages FROM occurrence GROUP BY term),
weight AS MATERIALIZED (
    SELECT
        asked.term,
        ln(1 + (corpus.passages - coalesce(document_frequency.passages, 0) + 0.5)
               / (coalesce(document_frequency.passages, 0) + 0.5)) AS idf
    FROM asked
    CROSS JOIN corpus
    LEFT JOIN document_frequency ON document_frequency.term = asked.term
    ORDER BY document_frequency.passages NULLS LAST, asked.term
    LIMIT :max_terms
)
"""

# BM25 with Lucene's idf and without the constant factor k1 + 1 (Kamphuis et al. 2020, "Which BM25
# do you mean?"). The statistics are those of all that the caller may read, whatever the filter:
# scores then neither depend on it nor tell of files out of sight.
_LEXICAL = f"""
WITH {SEARCHABLE}, {_CORPUS}
SELECT
    occurrence.chunk_id,
    sum(occurrence.occurrences * weight.idf * occurrence.frequency
        / (occurrence.frequency
           + :k1 * (1 - :b + :b * occurrence.term_count / corpus.mean_length))) AS score,
    (SELECT count(*) FROM document_frequency) > :max_terms AS truncated
FROM occurrence
JOIN weight ON weight.term = occurrence.term
CROSS JOIN corpus
WHERE occurrence.wanted
GROUP BY occurrence.chunk_id
ORDER BY score DESC, occurrence.chunk_id
LIMIT :max_chunks
"""  # noqa: S608 - made of the constants above; every value is bound

_TERM_WEIGHTS = f"""
WITH {SEARCHABLE}, {_CORPUS}
SELECT term, idf FROM weight ORDER BY idf DESC, term
"""  # noqa: S608 - made of the constants above; every value is bound

# The lexemes are quoted as tsquery's own text form wants it, so that no query is a syntax error.
_PASSAGES = f"""
WITH {SEARCHABLE},
matcher AS MATERIALIZED (
    SELECT CAST(string_agg(
        '''' || replace(replace(lexeme, '\\', '\\\\'), '''', '''''') || '''', ' | ') AS tsquery)
        AS anything
    FROM (
        SELECT lexeme FROM unnest(to_tsvector('english', CAST(:query AS text))) LIMIT :max_terms
    ) AS asked
)
SELECT
    chunk.id,
    searchable.file_id,
    searchable.version_id,
    searchable.number,
    chunk.ordinal,
    searchable.name,
    chunk.text,
    chunk.headings,
    chunk.pages,
    chunk.boxes,
    CASE WHEN chunk.text_key_id IS NULL
        THEN ts_headline('english', chunk.text, matcher.anything, :headline_options)
    END AS marked_text,
    chunk.sealed_text,
    chunk.text_key_id
FROM chunk
JOIN searchable ON searchable.version_id = chunk.version_id
CROSS JOIN matcher
WHERE chunk.id = ANY (CAST(:chunk_ids AS uuid[])) AND searchable.wanted
"""  # noqa: S608 - made of the constants above; every value is bound

# Most tenants seal nothing: their files are then not looked at.
_HOLDS_SEALED = f"""
WITH {SEARCHABLE}
SELECT CASE WHEN EXISTS (SELECT 1 FROM collection WHERE collection.text_mode <> 'full')
    THEN EXISTS (
        SELECT 1 FROM searchable
        JOIN file_version ON file_version.id = searchable.version_id
        WHERE searchable.wanted AND file_version.text_key_id IS NOT NULL)
    ELSE false
END
"""  # noqa: S608 - made of the constants above; every value is bound

_LEXEMES = """
SELECT given.position, lexeme, cardinality(positions) AS occurrences
FROM unnest(CAST(:texts AS text[])) WITH ORDINALITY AS given(content, position)
CROSS JOIN LATERAL unnest(to_tsvector('english', given.content))
"""

_INDEX_WORDS = """
WITH occurrence AS MATERIALIZED (
    SELECT chunk.tenant_id, chunk.id, lexeme, cardinality(positions) AS frequency
    FROM chunk
    CROSS JOIN LATERAL unnest(
        to_tsvector('english', array_to_string(chunk.headings || chunk.text, ' ')))
    WHERE chunk.version_id = :version_id
),
written AS (
    INSERT INTO posting (tenant_id, term, chunk_id, frequency)
    SELECT tenant_id, lexeme, id, frequency FROM occurrence
),
length AS (SELECT id, sum(frequency) AS term_count FROM occurrence GROUP BY id)
UPDATE chunk SET term_count = length.term_count FROM length WHERE chunk.id = length.id
"""

_HEADLINE_OPTIONS = f'HighlightAll=true, StartSel="{HIGHLIGHT_START}", StopSel="{HIGHLIGHT_STOP}"'

Parameters = dict[str, str | int | float | datetime | list[str] | list[UUID] | UUID | None]


async def prepare_for_search(session: AsyncSession) -> None:
    """Settings of this transaction: compiling such short statements costs more than running them."""
    await session.execute(text("SELECT set_config('jit', 'off', true)"))


async def bm25(
    session: AsyncSession, query: str, wanted: FileFilter, *, max_chunks: int
) -> LexicalMatches:
    """The best passages for the words of `query`, which may be any text without NUL."""
    rows = await session.execute(
        text(_LEXICAL),
        {
            **filter_parameters(wanted),
            "query": query,
            "k1": K1,
            "b": B,
            "max_terms": MAX_TERMS,
            "max_chunks": max_chunks,
        },
    )
    found = rows.all()
    return LexicalMatches(
        chunks=tuple(ScoredChunk(row.chunk_id, row.score) for row in found),
        truncated=bool(found) and bool(found[0].truncated),
    )


async def term_weights(session: AsyncSession, query: str) -> tuple[TermWeight, ...]:
    """The query's terms, rarest first; terms that occur nowhere have the greatest weight."""
    rows = await session.execute(
        text(_TERM_WEIGHTS),
        {**filter_parameters(FileFilter()), "query": query, "max_terms": MAX_TERMS},
    )
    return tuple(TermWeight(row.term, row.idf) for row in rows)


async def passages(
    session: AsyncSession, chunk_ids: Sequence[UUID], query: str, wanted: FileFilter
) -> dict[UUID, FoundPassage]:
    """The passages among `chunk_ids` that may be shown now, by id."""
    rows = await session.execute(
        text(_PASSAGES),
        {
            **filter_parameters(wanted),
            "chunk_ids": list(chunk_ids),
            "query": query,
            "max_terms": MAX_TERMS,
            "headline_options": _HEADLINE_OPTIONS,
        },
    )
    return {
        row.id: FoundPassage(
            chunk_id=row.id,
            file_id=row.file_id,
            version_id=row.version_id,
            version=row.number,
            ordinal=row.ordinal,
            name=row.name,
            text=row.text,
            headings=tuple(row.headings),
            pages=tuple(row.pages),
            boxes=tuple(row.boxes),
            marked_text=row.marked_text,
            sealed_text=row.sealed_text,
            text_key_id=row.text_key_id,
        )
        for row in rows
    }


async def holds_sealed(session: AsyncSession, wanted: FileFilter) -> bool:
    """Whether any of the wanted files has its text sealed, so that words do not find it."""
    found = await session.execute(text(_HOLDS_SEALED), filter_parameters(wanted))
    return bool(found.scalar_one())


async def lexemes(session: AsyncSession, texts: Sequence[str]) -> list[dict[str, int]]:
    """How often each lexeme stands in each text, by the same tokenizer as the postings'."""
    found: list[dict[str, int]] = [{} for _ in texts]
    for row in await session.execute(text(_LEXEMES), {"texts": list(texts)}):
        found[row.position - 1][row.lexeme] = row.occurrences
    return found


async def index_words(session: AsyncSession, version_id: UUID) -> None:
    """Writes the postings and term counts of a version's chunks, which are there already: the
    lexemes of headings and text."""
    await session.execute(text(_INDEX_WORDS), {"version_id": version_id})


def filter_parameters(wanted: FileFilter) -> Parameters:
    return {
        "collection": wanted.collection,
        "media_types": list(wanted.media_types) or None,
        "labels": list(wanted.labels) or None,
        "file_ids": list(wanted.file_ids) or None,
        "created_from": wanted.created_from,
        "created_before": wanted.created_before,
        "conditions": json.dumps(
            [
                {"key": each.key, "operator": each.operator.value, "value": each.value}
                for each in wanted.metadata
            ]
        ),
    }

"""What searches ask of PostgreSQL: the passages to show. By words: `db.queries.lexical`; by vectors:
`db.queries.vectors`.

Every statement starts from `CURRENT_VERSIONS`: the current versions of the `ready` files that the
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
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

MAX_MARKED_TERMS = 64
"""Distinct terms of a query that are marked in passages, of each language."""

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
class MetadataPath:
    """A condition on a file's metadata: a predicate of PostgreSQL's jsonpath, and its variables as JSON."""

    path: str
    variables: str


@dataclass(frozen=True)
class FileFilter:
    """Which files' passages are wanted; an empty one wants all.

    `collection` is an id or a name. `vector_stores` are ids of collections: files of any of them, and those
    that are attached to one; whoever asks has found that the caller may read these. `media_types` are LIKE
    patterns, and so are `names`, all of which a file's name is like, and `excluded_names`, in capital letters
    or small ones. Times are inclusive below and exclusive above.
    """

    collection: str | None = None
    media_types: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    file_ids: tuple[UUID, ...] = ()
    created_from: datetime | None = None
    created_before: datetime | None = None
    metadata: tuple[MetadataCondition, ...] = ()
    where: MetadataPath | None = None
    vector_stores: tuple[UUID, ...] = ()
    names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoredChunk:
    chunk_id: UUID
    score: float


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


WANTED = """
        (CAST(:collection AS text) IS NULL
            OR file.collection_id IN (
                SELECT collection.id FROM collection
                WHERE collection.name = :collection OR CAST(collection.id AS text) = :collection))
        AND (CAST(:vector_stores AS uuid[]) IS NULL
            OR file.collection_id = ANY (CAST(:vector_stores AS uuid[]))
            OR file.id IN (
                SELECT attached.file_id FROM vector_store_file AS attached
                WHERE attached.collection_id = ANY (CAST(:vector_stores AS uuid[]))))
        AND (CAST(:where_path AS jsonpath) IS NULL
            OR coalesce(
                jsonb_path_match(
                    file.metadata,
                    CAST(:where_path AS jsonpath),
                    CAST(:where_variables AS jsonb),
                    true),
                false))
        AND (CAST(:media_types AS text[]) IS NULL OR file.media_type LIKE ANY (CAST(:media_types AS text[])))
        AND (CAST(:labels AS text[]) IS NULL OR file.labels && CAST(:labels AS text[]))
        AND (CAST(:file_ids AS uuid[]) IS NULL OR file.id = ANY (CAST(:file_ids AS uuid[])))
        AND (CAST(:created_from AS timestamptz) IS NULL OR file.created_at >= :created_from)
        AND (CAST(:created_before AS timestamptz) IS NULL OR file.created_at < :created_before)
        AND (CAST(:names AS text[]) IS NULL OR file.name ILIKE ALL (CAST(:names AS text[])))
        AND (CAST(:excluded_names AS text[]) IS NULL
            OR NOT file.name ILIKE ANY (CAST(:excluded_names AS text[])))
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
        )
"""
"""Whether a file passes the filter: a condition on `file`."""

CURRENT_VERSIONS = """
    FROM visible_files('read') AS visible(file_id)
    JOIN file ON file.id = visible.file_id
    JOIN file_version
        ON file_version.file_id = file.id AND file_version.number = file.current_version
    WHERE file.state = 'ready'
"""
"""What may be shown of anything at this moment, which changes with every commit."""


def _searchable(materialized: str) -> str:
    return f"""
searchable AS {materialized} (
    SELECT
        file.id AS file_id,
        file.name,
        file_version.id AS version_id,
        file_version.number,
{WANTED} AS wanted
{CURRENT_VERSIONS}
)
"""


SEARCHABLE = _searchable("MATERIALIZED")
SEARCHABLE_IN_PLACE = _searchable("NOT MATERIALIZED")
"""The same, as a part of the statement's one plan: a filter is tried before the rest is looked up, and a
single file is found by its key."""

# Only the files of the passages that are asked for are looked at, however many there are. Each passage is
# marked in its own language. The lexemes are quoted as tsquery's own text form wants it, so that no
# query is a syntax error.
_PASSAGES = f"""
WITH asked_chunk AS MATERIALIZED (
    SELECT chunk.id, chunk.file_id, coalesce(document.language, 'english') AS language
    FROM chunk LEFT JOIN lexical_document AS document ON document.version_id = chunk.version_id
    WHERE chunk.id = ANY (CAST(:chunk_ids AS uuid[]))
),
searchable AS MATERIALIZED (
    SELECT
        file.id AS file_id,
        file.name,
        file_version.id AS version_id,
        file_version.number
{CURRENT_VERSIONS}
        AND file.id = ANY (ARRAY(SELECT file_id FROM asked_chunk))
        AND {WANTED}
),
matcher AS MATERIALIZED (
    SELECT asked.language, CAST(string_agg(
        '''' || replace(replace(asked.lexeme, '\\', '\\\\'), '''', '''''') || '''' || asked.ending,
        ' | ') AS tsquery) AS anything
    FROM (SELECT DISTINCT language FROM asked_chunk) AS spoken
    CROSS JOIN LATERAL (
        (SELECT spoken.language, word.lexeme, '' AS ending
        FROM unnest(to_tsvector(
            CAST(spoken.language AS regconfig), searchable_words(CAST(:query AS text)))) AS word
        LIMIT :max_terms)
        UNION ALL
        SELECT spoken.language, lower(prefix), ':*' FROM unnest(CAST(:prefixes AS text[])) AS prefix
    ) AS asked
    GROUP BY asked.language
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
        THEN ts_headline(
            CAST(asked_chunk.language AS regconfig), chunk.text, matcher.anything, :headline_options)
    END AS marked_text,
    chunk.sealed_text,
    chunk.text_key_id
FROM asked_chunk
JOIN chunk ON chunk.id = asked_chunk.id
JOIN searchable ON searchable.version_id = chunk.version_id
LEFT JOIN matcher ON matcher.language = asked_chunk.language
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
CROSS JOIN LATERAL unnest(to_tsvector('english', searchable_words(given.content)))
"""

_HEADLINE_OPTIONS = f'HighlightAll=true, StartSel="{HIGHLIGHT_START}", StopSel="{HIGHLIGHT_STOP}"'

Parameters = dict[str, str | int | float | datetime | list[str] | list[UUID] | UUID | None]


async def prepare_for_search(session: AsyncSession) -> None:
    """Settings of this transaction: compiling such short statements costs more than running them, and their
    plans follow from what is wanted, in workers too, whose other statements are planned once."""
    await session.execute(
        text("SELECT set_config('jit', 'off', true), set_config('plan_cache_mode', 'auto', true)")
    )


async def passages(
    session: AsyncSession,
    chunk_ids: Sequence[UUID],
    query: str,
    wanted: FileFilter,
    prefixes: Sequence[str] = (),
) -> dict[UUID, FoundPassage]:
    """The passages among `chunk_ids` that may be shown now, by id. Words of the query and words that begin
    with a prefix are marked."""
    rows = await session.execute(
        text(_PASSAGES),
        {
            **filter_parameters(wanted),
            "chunk_ids": list(chunk_ids),
            "query": query,
            "prefixes": list(prefixes),
            "max_terms": MAX_MARKED_TERMS,
            "headline_options": _HEADLINE_OPTIONS,
        },
    )
    return {
        row["id"]: found_passage(row, boxes=tuple(row["boxes"]), marked_text=row["marked_text"])
        for row in rows.mappings()
    }


def found_passage(
    row: RowMapping, *, boxes: tuple[JsonValue, ...] = (), marked_text: str | None = None
) -> FoundPassage:
    """Of a row with the columns of `chunk` and of its file's version."""
    return FoundPassage(
        chunk_id=row["id"],
        file_id=row["file_id"],
        version_id=row["version_id"],
        version=row["number"],
        ordinal=row["ordinal"],
        name=row["name"],
        text=row["text"],
        headings=tuple(row["headings"]),
        pages=tuple(row["pages"]),
        boxes=boxes,
        marked_text=marked_text,
        sealed_text=row["sealed_text"],
        text_key_id=row["text_key_id"],
    )


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


def filter_parameters(wanted: FileFilter) -> Parameters:
    """What WANTED binds."""
    return {
        "collection": wanted.collection,
        "media_types": list(wanted.media_types) or None,
        "labels": list(wanted.labels) or None,
        "file_ids": list(wanted.file_ids) or None,
        "created_from": wanted.created_from,
        "created_before": wanted.created_before,
        "vector_stores": list(wanted.vector_stores) or None,
        "where_path": wanted.where.path if wanted.where else None,
        "where_variables": wanted.where.variables if wanted.where else None,
        "names": list(wanted.names) or None,
        "excluded_names": list(wanted.excluded_names) or None,
        "conditions": json.dumps(
            [
                {"key": each.key, "operator": each.operator.value, "value": each.value}
                for each in wanted.metadata
            ]
        ),
    }

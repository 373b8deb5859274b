"""What is asked of the few passages that a search thinks best: which of them the caller may have, and which
fulfil the conditions of the query."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.binary_rows import binary_rows
from db.queries.asked import Condition
from db.queries.search import CURRENT_VERSIONS, WANTED, FileFilter, filter_parameters

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
    {current_versions}
        AND file.id = ANY (ARRAY(SELECT file_id FROM candidate))
        AND {wanted}
)
SELECT candidate.number, chunk.id
FROM candidate
JOIN chunk ON chunk.version_id = candidate.version_id AND chunk.ordinal = candidate.ordinal
WHERE (candidate.version_id IN (SELECT version_id FROM shown)) IS TRUE
"""
_VISIBLE_OF_ALL = _VISIBLE.format(current_versions=CURRENT_VERSIONS, wanted="true")
_VISIBLE_OF_WANTED = _VISIBLE.format(current_versions=CURRENT_VERSIONS, wanted=WANTED)

# Words that a passage's language leaves out are looked for as they are written, and so are beginnings. Where
# only some of a phrase are left out (`is_mixed`), it is looked for in the passage's lexemes together with its
# words as they are written, which have the same positions. What is computed for a passage is computed once:
# OFFSET 0 keeps it from being copied into each comparison.
_JUDGED = """
    WITH candidate AS MATERIALIZED (
        SELECT chunk.id, coalesce(document.language, 'english') AS language,
               chunk.text_key_id IS NOT NULL AS is_sealed,
               searchable_words(array_to_string(chunk.headings || chunk.text, ' ')) AS content,
               searchable_words(array_to_string(chunk.headings, ' ')) AS headings
        FROM chunk
        LEFT JOIN lexical_document AS document ON document.version_id = chunk.version_id
        WHERE chunk.id = ANY (CAST(:chunk_ids AS uuid[]))
    ),
    condition AS MATERIALIZED (
        SELECT stemmed.language, stemmed.is_heading, stemmed.is_excluded, stemmed.is_plain, stemmed.is_mixed,
               CASE
                   WHEN stemmed.is_prefix THEN to_tsquery(
                       'simple', '''' || replace(replace(stemmed.content, '\\', ' '), '''', ' ') || ''':*')
                   WHEN stemmed.is_plain THEN stemmed.plain_query
                   WHEN stemmed.is_mixed THEN (
                       SELECT CAST(string_agg(
                           coalesce('<' || word.place - word.before || '> ', '')
                               || '''' || replace(replace(word.lexeme, '\\', '\\\\'), '''', '''''') || '''',
                           ' ' ORDER BY word.place) AS tsquery)
                       FROM (
                           SELECT place, coalesce(own.lexeme, plain.lexeme) AS lexeme,
                                  lag(place) OVER (ORDER BY place) AS before
                           FROM (
                               SELECT lexeme, unnest(positions) AS place
                               FROM unnest(to_tsvector('simple', searchable_words(stemmed.content)))
                           ) AS plain
                           LEFT JOIN (
                               SELECT lexeme, unnest(positions) AS place
                               FROM unnest(to_tsvector(CAST(stemmed.language AS regconfig),
                                                       searchable_words(stemmed.content)))
                           ) AS own USING (place)
                       ) AS word
                   )
                   ELSE stemmed.query
               END AS query
        FROM (
            SELECT spoken.language, given.*, own.*,
                   given.is_prefix OR numnode(own.query) = 0 AS is_plain,
                   NOT given.is_prefix AND numnode(own.query) > 0
                       AND numnode(own.query) < numnode(own.plain_query) AS is_mixed
            FROM (SELECT DISTINCT language FROM candidate) AS spoken
            CROSS JOIN unnest(CAST(:contents AS text[]), CAST(:in_headings AS bool[]),
                              CAST(:excluded AS bool[]), CAST(:prefixes AS bool[]))
                AS given(content, is_heading, is_excluded, is_prefix)
            CROSS JOIN LATERAL (
                SELECT phraseto_tsquery(
                    CAST(spoken.language AS regconfig), searchable_words(given.content)) AS query,
                    phraseto_tsquery('simple', searchable_words(given.content)) AS plain_query
                OFFSET 0
            ) AS own
        ) AS stemmed
    )
    SELECT candidate.id, CASE WHEN candidate.is_sealed THEN NULL ELSE NOT EXISTS (
        SELECT FROM condition
        WHERE condition.language = candidate.language AND numnode(condition.query) > 0
            AND condition.is_excluded = (condition.query @@ CASE
                WHEN condition.is_heading AND condition.is_plain THEN words.plain_headings
                WHEN condition.is_heading AND condition.is_mixed THEN mixed.headings
                WHEN condition.is_heading THEN words.headings
                WHEN condition.is_plain THEN words.plain_content
                WHEN condition.is_mixed THEN mixed.content
                ELSE words.content END)
    ) END
    FROM candidate
    CROSS JOIN LATERAL (
        SELECT to_tsvector(CAST(candidate.language AS regconfig), candidate.content) AS content,
               CASE WHEN :any_heading
                   THEN to_tsvector(CAST(candidate.language AS regconfig), candidate.headings)
               END AS headings,
               CASE WHEN (SELECT bool_or(is_plain OR is_mixed) FROM condition)
                   THEN to_tsvector('simple', candidate.content) END AS plain_content,
               CASE WHEN :any_heading AND (SELECT bool_or(is_plain OR is_mixed) FROM condition)
                   THEN to_tsvector('simple', candidate.headings) END AS plain_headings
        OFFSET 0
    ) AS words
    CROSS JOIN LATERAL (
        SELECT CASE WHEN (SELECT bool_or(is_mixed) FROM condition) THEN CAST(
                   CAST(words.content AS text) || ' ' || CAST(words.plain_content AS text) AS tsvector)
               END AS content,
               CASE WHEN :any_heading AND (SELECT bool_or(is_mixed) FROM condition) THEN CAST(
                   CAST(words.headings AS text) || ' ' || CAST(words.plain_headings AS text) AS tsvector)
               END AS headings
        OFFSET 0
    ) AS mixed
"""


async def visible_chunks(
    session: AsyncSession, numbers: Sequence[int], wanted: FileFilter
) -> dict[int, UUID]:
    """Ids of the chunks, by their numbers, that the caller may have now and wants."""
    parameters: dict[str, object] = {"numbers": list(numbers)}
    if wanted == FileFilter():
        return dict(await binary_rows(session, _VISIBLE_OF_ALL, parameters))
    parameters |= filter_parameters(wanted)
    return dict(await binary_rows(session, _VISIBLE_OF_WANTED, parameters))


async def judged_passages(
    session: AsyncSession, chunk_ids: Sequence[UUID], conditions: Sequence[Condition]
) -> dict[UUID, bool | None]:
    """Whether each of these passages, which the caller may have, fulfils all conditions; None for those
    whose text is sealed, so that PostgreSQL cannot tell. A condition without any letter or digit holds."""
    rows = await binary_rows(
        session,
        _JUDGED,
        {
            "chunk_ids": list(chunk_ids),
            "contents": [each.content for each in conditions],
            "in_headings": [each.is_heading for each in conditions],
            "excluded": [each.is_excluded for each in conditions],
            "prefixes": [each.is_prefix for each in conditions],
            "any_heading": any(each.is_heading for each in conditions),
        },
    )
    return dict(rows)

"""The statements by which the words of a version enter the lexical index, five hundred passages at a time.

A publication adds `SHARES` rows at most to `unmerged_posting`, each with a share of its terms and their
entries, as long as few passages wait for maintenance; from then on it adds a row to `posting` for each of its
terms, which takes twice the time and more, so that searches have few to look through: as many as the bounds
say, and those of publications that were at work at the same moment, which do not see each other."""

from sqlalchemy import text

SHARES = 64
"""`posting_share` in the database says to which a term belongs: a search opens those of its own terms."""
BEGIN_DOCUMENT = text(
    """
    INSERT INTO lexical_document
        (version_id, tenant_id, file_id, language, first_number, passages, terms, is_merged)
    SELECT document.version_id, document.tenant_id, document.file_id, :language,
           reserve_lexical_numbers(document.passages), document.passages, 0, false
    FROM (
        SELECT version_id, tenant_id, file_id, 1 + max(ordinal) AS passages
        FROM chunk WHERE version_id = :version_id AND text_key_id IS NULL
        GROUP BY version_id, tenant_id, file_id
    ) AS document
    RETURNING first_number, passages
    """
)

# Each publication has a row of share 0, with terms or without, and its passages: it is counted by that.
MAY_WAIT = text(
    """
    SELECT count(*) < :most AND coalesce(sum(last_number - first_number + 1), 0) < :most_passages
    FROM unmerged_posting
    WHERE tenant_id = (SELECT current_tenant()) AND language = :language AND share = 0
    """
)

# An entry is the last seven of eight bytes: number, frequency and length, as `ENTRY` in postings.py has it.
_LISTED = """
    WITH tokenised AS MATERIALIZED (
        SELECT chunk.ordinal - :start AS place, to_tsvector(
            CAST(:language AS regconfig),
            searchable_words(array_to_string(chunk.headings || chunk.text, ' '))) AS words
        FROM chunk
        WHERE chunk.version_id = :version_id
            AND chunk.ordinal >= :start AND chunk.ordinal < :start + :amount
    ),
    occurrence AS MATERIALIZED (
        SELECT tokenised.place, word.lexeme COLLATE "C" AS term,
               cardinality(word.positions) AS frequency, passage.length
        FROM tokenised
        CROSS JOIN LATERAL (
            SELECT sum(cardinality(positions)) AS length FROM unnest(tokenised.words)
        ) AS passage
        CROSS JOIN LATERAL unnest(tokenised.words) AS word
    ),
    listed AS (
        SELECT term, count(*) AS passages, max(place) AS last_place,
               string_agg(substring(
                   int8send((CAST(place AS int8) << 24) | (CAST(frequency AS int8) << 16)
                            | CAST(least(length, 65535) AS int8)) FROM 2), '' ORDER BY place) AS entries
        FROM occurrence
        GROUP BY term
    ),
"""

_COUNT_TERMS = """
    UPDATE lexical_document
    SET terms = terms + (SELECT coalesce(sum(frequency), 0) FROM occurrence)
    WHERE version_id = :version_id
"""

ADD_UNMERGED = text(
    f"""
    {_LISTED}
    shared AS (
        SELECT posting_share(term) AS share, term, entries FROM listed
        UNION ALL
        SELECT CAST(0 AS int2), NULL, NULL WHERE EXISTS (SELECT FROM occurrence)
    ),
    written AS (
        INSERT INTO unmerged_posting
            (tenant_id, language, share, first_number, last_number, terms, entries)
        SELECT current_tenant(), :language, share, :first_number,
               CAST(:first_number AS int8) + :amount - 1,
               coalesce(array_agg(term ORDER BY term) FILTER (WHERE term IS NOT NULL), '{{}}'),
               coalesce(array_agg(entries ORDER BY term) FILTER (WHERE term IS NOT NULL), '{{}}')
        FROM shared
        GROUP BY share
    )
    {_COUNT_TERMS}
    """  # noqa: S608 - of the constants above
)

ADD_ROWS_OF_TERMS = text(
    f"""
    {_LISTED}
    written AS (
        INSERT INTO posting (tenant_id, language, term, first_number, last_number, passages, entries)
        SELECT current_tenant(), :language, term, :first_number, :first_number + last_place, passages,
               entries
        FROM listed
    )
    {_COUNT_TERMS}
    """  # noqa: S608 - of the constants above
)

# The numbers are the document's own, so that the rows have nothing of another one.
FORGET_UNMERGED = text(
    f"""
    DELETE FROM unmerged_posting AS unmerged
    USING lexical_document AS document
    WHERE document.file_id = :file_id
        AND unmerged.tenant_id = (SELECT current_tenant()) AND unmerged.language = document.language
        AND unmerged.share = ANY (ARRAY(SELECT CAST(generate_series(0, {SHARES - 1}) AS int2)))
        AND unmerged.first_number >= document.first_number
        AND unmerged.first_number < document.first_number + document.passages
    """  # noqa: S608 - of a constant
)

# Who deletes a file locks its rows, and is not waited for: they are gone with its commit. Share 0 goes last,
# so that it tells until then how much waits. A row without terms gives a row without a list.
TAKE_UNMERGED = """
    WITH latest AS MATERIALIZED (
        SELECT language, share, first_number FROM unmerged_posting
        WHERE tenant_id = (SELECT current_tenant())
        ORDER BY language DESC, share DESC, first_number DESC LIMIT :limit
        FOR UPDATE SKIP LOCKED
    ),
    taken AS (
        DELETE FROM unmerged_posting
        USING latest
        WHERE unmerged_posting.tenant_id = (SELECT current_tenant())
            AND unmerged_posting.language = latest.language
            AND unmerged_posting.share = latest.share
            AND unmerged_posting.first_number = latest.first_number
        RETURNING unmerged_posting.*
    )
    SELECT taken.language, each.term, taken.first_number, each.entries
    FROM taken LEFT JOIN LATERAL unnest(taken.terms, taken.entries) AS each(term, entries) ON true
    ORDER BY taken.language, each.term COLLATE "C", taken.first_number
"""

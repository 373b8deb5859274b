"""Numbers with commas between their thousands as one word: PostgreSQL's parser reads `1,452.4` as 1 and
452.4. Documents with such numbers get their words anew."""

from alembic import op

revision = "0049"
down_revision = "0047"
branch_labels = None
depends_on = None

# As in 0028.
LETTER = (
    r"\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)
GROUP_COMMA = r"([0-9]),(?=[0-9]{3}([^0-9]|$))"

# Looking for a comma first takes a twentieth of replacing what is not there.
_UNGROUPED = rf"""CASE WHEN content ~ '[0-9],[0-9]{{3}}'
                THEN regexp_replace(content, '{GROUP_COMMA}', '\1', 'g') ELSE content END"""


def _words(content: str) -> str:
    return rf"""
    CREATE FUNCTION searchable_words(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
    $$
        SELECT CASE WHEN content ~ '[{LETTER}]' THEN
            regexp_replace(regexp_replace(regexp_replace(regexp_replace({content},
                '([{LETTER}])', '\1\1', 'g'),
                '(^|[^{LETTER}])[{LETTER}]', '\1 ', 'g'),
                '([{LETTER}]{{1,2}})', '\1 ', 'g'),
                '([{LETTER}]{{2}}) [{LETTER}] ', '\1 ', 'g')
        ELSE {content} END
    $$
    """


# A document gets new numbers and its words under them, as if it were published again: searches know it by
# them from the commit on, and maintenance takes its former words out, which are noted as those of a file that
# is deleted. Five hundred passages at a time: memory does not grow with what there is.
INDEX_ANEW = """
    DO $$
    DECLARE
        document record;
        start integer;
        first bigint;
    BEGIN
        FOR document IN
            SELECT * FROM lexical_document WHERE EXISTS (
                SELECT FROM chunk
                WHERE chunk.version_id = lexical_document.version_id
                    AND array_to_string(chunk.headings || chunk.text, ' ') ~ '[0-9],[0-9]{3}')
        LOOP
            DELETE FROM unmerged_posting
            WHERE tenant_id = document.tenant_id AND language = document.language
                AND first_number >= document.first_number
                AND first_number < document.first_number + document.passages;
            first := reserve_lexical_numbers(document.passages);
            UPDATE lexical_document SET first_number = first, terms = 0, is_merged = false
            WHERE version_id = document.version_id;
            FOR start IN 0 .. document.passages - 1 BY 500 LOOP
                INSERT INTO posting_removal
                    (id, tenant_id, file_id, language, first_number, last_number, terms)
                SELECT gen_random_uuid(), document.tenant_id, document.file_id, document.language,
                       document.first_number + min(chunk.ordinal),
                       document.first_number + max(chunk.ordinal), array_agg(DISTINCT word.lexeme)
                FROM chunk
                CROSS JOIN LATERAL unnest(to_tsvector(
                    CAST(document.language AS regconfig),
                    former_searchable_words(array_to_string(chunk.headings || chunk.text, ' ')))) AS word
                WHERE chunk.version_id = document.version_id
                    AND chunk.ordinal >= start AND chunk.ordinal < start + 500
                HAVING count(*) > 0;
                WITH occurrence AS MATERIALIZED (
                    SELECT chunk.ordinal - start AS place, word.lexeme,
                           cardinality(word.positions) AS frequency,
                           sum(cardinality(word.positions)) OVER (PARTITION BY chunk.ordinal) AS length
                    FROM chunk
                    CROSS JOIN LATERAL unnest(to_tsvector(
                        CAST(document.language AS regconfig),
                        searchable_words(array_to_string(chunk.headings || chunk.text, ' ')))) AS word
                    WHERE chunk.version_id = document.version_id
                        AND chunk.ordinal >= start AND chunk.ordinal < start + 500
                ),
                written AS (
                    INSERT INTO posting
                        (tenant_id, language, term, first_number, last_number, passages, entries)
                    SELECT document.tenant_id, document.language, lexeme, first + start,
                           first + start + max(place), count(*),
                           string_agg(int4send(place)
                                      || substring(int4send(frequency) FROM 4)
                                      || substring(int4send(CAST(least(length, 65535) AS int4)) FROM 3),
                                      '' ORDER BY place)
                    FROM occurrence
                    GROUP BY lexeme
                )
                UPDATE lexical_document
                SET terms = terms + (SELECT coalesce(sum(frequency), 0) FROM occurrence)
                WHERE version_id = document.version_id;
            END LOOP;
        END LOOP;
    END
    $$;
"""

TABLES = ("chunk", "lexical_document", "posting", "unmerged_posting", "posting_removal")


def _replace(content: str) -> None:
    op.execute("ALTER FUNCTION searchable_words(text) RENAME TO former_searchable_words")
    op.execute(_words(content))
    # The owner sees no row otherwise.
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(INDEX_ANEW)
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute("DROP FUNCTION former_searchable_words(text)")
    # What was answered before is looked for anew.
    op.execute("UPDATE corpus_epoch SET changes = changes + 1")


def upgrade() -> None:
    _replace(_UNGROUPED)


def downgrade() -> None:
    _replace("content")

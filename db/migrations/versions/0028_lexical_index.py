"""The lexical index as posting lists: a row holds a term's occurrences in many passages."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TABLES = ("lexical_document", "posting", "posting_removal")

# Thai and Lao, Burmese, Khmer, the Japanese syllabaries, and Chinese characters.
LETTER = (
    r"\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
    r"\uf900-\ufaff\U00020000-\U0003ffff"
)

# Each letter is doubled, the first of a run dropped, the rest taken in pairs; what is left over at the
# end of a run of several is dropped, too.
SEARCHABLE_WORDS = rf"""
    CREATE FUNCTION searchable_words(content text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS
    $$
        SELECT CASE WHEN content ~ '[{LETTER}]' THEN
            regexp_replace(regexp_replace(regexp_replace(regexp_replace(content,
                '([{LETTER}])', '\1\1', 'g'),
                '(^|[^{LETTER}])[{LETTER}]', '\1 ', 'g'),
                '([{LETTER}]{{1,2}})', '\1 ', 'g'),
                '([{LETTER}]{{2}}) [{LETTER}] ', '\1 ', 'g')
        ELSE content END
    $$
"""

# Sequences forget no number when a transaction is rolled back, so that publications do not wait for each
# other; the lock is held for as long as it takes to move one.
RESERVE_NUMBERS = """
    CREATE SEQUENCE lexical_number;
    CREATE FUNCTION reserve_lexical_numbers(amount integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
    $$
    DECLARE
        first bigint;
    BEGIN
        IF amount < 1 OR amount > 10000000 THEN
            RAISE EXCEPTION 'between 1 and 10000000 numbers are reserved at a time'
                USING ERRCODE = 'numeric_value_out_of_range';
        END IF;
        PERFORM pg_advisory_lock(hashtext('lexical_number'));
        first := nextval('lexical_number');
        PERFORM setval('lexical_number', first + amount - 1);
        PERFORM pg_advisory_unlock(hashtext('lexical_number'));
        RETURN first;
    EXCEPTION WHEN query_canceled OR OTHERS THEN
        -- It would stay with the connection, and everybody would wait.
        PERFORM pg_advisory_unlock(hashtext('lexical_number'));
        RAISE;
    END
    $$;
    REVOKE ALL ON FUNCTION reserve_lexical_numbers(integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION reserve_lexical_numbers(integer) TO muniment_app;
"""

MAKE_TABLES = """
    DROP TABLE posting;
    ALTER TABLE chunk DROP COLUMN term_count;
    -- Searches ask for the ids of hundreds of passages, each of which lies in another page of the table.
    DROP INDEX ix_chunk_version_ordinal;
    CREATE UNIQUE INDEX ix_chunk_version_ordinal ON chunk (version_id, ordinal)
        INCLUDE (id, tenant_id);

    CREATE TABLE lexical_document (
        version_id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        file_id UUID NOT NULL,
        language VARCHAR NOT NULL,
        first_number BIGINT NOT NULL,
        passages INTEGER NOT NULL,
        terms BIGINT NOT NULL,
        is_merged BOOLEAN NOT NULL,
        PRIMARY KEY (version_id),
        FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
        FOREIGN KEY(tenant_id) REFERENCES tenant (id),
        FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE
    );
    CREATE INDEX ix_lexical_document_file_id ON lexical_document (file_id);
    CREATE UNIQUE INDEX ux_lexical_document_number ON lexical_document (tenant_id, first_number)
        INCLUDE (passages, terms, language);
    CREATE INDEX ix_lexical_document_unmerged ON lexical_document (tenant_id) WHERE NOT is_merged;

    CREATE TABLE posting (
        tenant_id UUID NOT NULL,
        language VARCHAR COLLATE "C" NOT NULL,
        term VARCHAR COLLATE "C" NOT NULL,
        first_number BIGINT NOT NULL,
        last_number BIGINT NOT NULL,
        passages INTEGER NOT NULL,
        entries BYTEA NOT NULL,
        PRIMARY KEY (tenant_id, language, term, first_number) INCLUDE (last_number, passages),
        FOREIGN KEY(tenant_id) REFERENCES tenant (id)
    );
    -- Compressing them saves little, and costs every search.
    ALTER TABLE posting ALTER COLUMN entries SET STORAGE EXTERNAL;

    CREATE TABLE posting_removal (
        id UUID NOT NULL,
        tenant_id UUID NOT NULL,
        file_id UUID NOT NULL,
        language VARCHAR NOT NULL,
        first_number BIGINT NOT NULL,
        last_number BIGINT NOT NULL,
        terms TEXT[] NOT NULL,
        PRIMARY KEY (id),
        FOREIGN KEY(tenant_id) REFERENCES tenant (id),
        FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE
    );
    CREATE INDEX ix_posting_removal_tenant_id ON posting_removal (tenant_id);
    CREATE INDEX ix_posting_removal_file_id ON posting_removal (file_id);
"""

# Tokenised anew: the words of a passage are looked for again when it is removed.
FILL = """
    INSERT INTO lexical_document
        (version_id, tenant_id, file_id, language, first_number, passages, terms, is_merged)
    SELECT version_id, tenant_id, file_id, 'english',
           1 + sum(passages) OVER (ORDER BY version_id) - passages, passages, 0, false
    FROM (
        SELECT version_id, tenant_id, file_id, 1 + max(ordinal) AS passages
        FROM chunk WHERE text_key_id IS NULL
        GROUP BY version_id, tenant_id, file_id
    ) AS document;

    -- Five hundred passages at a time: memory and disk do not grow with what there is.
    DO $$
    DECLARE
        document record;
        start integer;
    BEGIN
        FOR document IN SELECT version_id, first_number, passages FROM lexical_document LOOP
            FOR start IN 0 .. document.passages - 1 BY 500 LOOP
                WITH occurrence AS MATERIALIZED (
                    SELECT chunk.tenant_id, chunk.ordinal - start AS place, word.lexeme,
                           cardinality(word.positions) AS frequency,
                           sum(cardinality(word.positions)) OVER (PARTITION BY chunk.ordinal) AS length
                    FROM chunk
                    CROSS JOIN LATERAL unnest(to_tsvector(
                        'english',
                        searchable_words(array_to_string(chunk.headings || chunk.text, ' ')))) AS word
                    WHERE chunk.version_id = document.version_id
                        AND chunk.ordinal >= start AND chunk.ordinal < start + 500
                ),
                written AS (
                    INSERT INTO posting
                        (tenant_id, language, term, first_number, last_number, passages, entries)
                    SELECT tenant_id, 'english', lexeme, document.first_number + start,
                           document.first_number + start + max(place), count(*),
                           string_agg(int4send(place)
                                      || substring(int4send(frequency) FROM 4)
                                      || substring(int4send(CAST(least(length, 65535) AS int4)) FROM 3),
                                      '' ORDER BY place)
                    FROM occurrence
                    GROUP BY tenant_id, lexeme
                )
                UPDATE lexical_document
                SET terms = terms + (SELECT coalesce(sum(frequency), 0) FROM occurrence)
                WHERE version_id = document.version_id;
            END LOOP;
        END LOOP;
    END
    $$;

    SELECT setval('lexical_number', 1 + coalesce(max(first_number + passages), 1))
    FROM lexical_document;
"""


def upgrade() -> None:
    # The owner sees no row of the chunks otherwise, and plans nothing for them by their number.
    op.execute("ALTER TABLE chunk NO FORCE ROW LEVEL SECURITY")
    for statements in (SEARCHABLE_WORDS, RESERVE_NUMBERS, MAKE_TABLES, FILL):
        op.execute(statements)
    op.execute("ALTER TABLE chunk FORCE ROW LEVEL SECURITY")
    for table in TABLES:
        op.execute(
            f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY tenant_isolation ON {table} TO muniment_app
                USING (tenant_id = (SELECT current_tenant()))
                WITH CHECK (tenant_id = (SELECT current_tenant()));
            GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app;
            """
        )


def downgrade() -> None:
    op.execute(
        """
        DROP TABLE posting_removal;
        DROP TABLE posting;
        DROP TABLE lexical_document;
        DROP FUNCTION reserve_lexical_numbers(integer);
        DROP SEQUENCE lexical_number;
        DROP FUNCTION searchable_words(text);

        CREATE TABLE posting (
            tenant_id UUID NOT NULL,
            term VARCHAR NOT NULL,
            chunk_id UUID NOT NULL,
            frequency INTEGER NOT NULL,
            PRIMARY KEY (tenant_id, term, chunk_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(chunk_id) REFERENCES chunk (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_posting_chunk_id ON posting (chunk_id);

        DROP INDEX ix_chunk_version_ordinal;
        CREATE UNIQUE INDEX ix_chunk_version_ordinal ON chunk (version_id, ordinal);

        ALTER TABLE chunk NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE chunk ADD COLUMN term_count INTEGER NOT NULL DEFAULT 0;
        INSERT INTO posting (tenant_id, term, chunk_id, frequency)
            SELECT tenant_id, word.lexeme, chunk.id, cardinality(word.positions)
            FROM chunk CROSS JOIN LATERAL unnest(to_tsvector(
                'english', array_to_string(headings || text, ' '))) AS word;
        UPDATE chunk SET term_count = coalesce(
            (SELECT sum(frequency) FROM posting WHERE posting.chunk_id = chunk.id), 0);
        ALTER TABLE chunk ALTER COLUMN term_count DROP DEFAULT;
        ALTER TABLE chunk FORCE ROW LEVEL SECURITY;

        ALTER TABLE posting ENABLE ROW LEVEL SECURITY;
        ALTER TABLE posting FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON posting TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON posting TO muniment_app;
        """
    )

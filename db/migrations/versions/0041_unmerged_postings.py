"""Postings of a publication in some rows instead of one for each of its terms, until maintenance merges them
into the rows of terms."""

from alembic import op

revision = "0041"
down_revision = "0040"
branch_labels = None
depends_on = None

MAKE_TABLE = """
    -- In which of a publication's rows a term stands. CRC-32 stays what it is, which hashtext() need not.
    -- STABLE as convert_to() is: PostgreSQL would call it for each term instead of putting it in place.
    CREATE FUNCTION posting_share(term text) RETURNS smallint
    LANGUAGE sql STABLE PARALLEL SAFE AS
    $$ SELECT CAST(crc32(convert_to(term, 'UTF8')) & 63 AS smallint) $$;

    CREATE TABLE unmerged_posting (
        tenant_id UUID NOT NULL,
        language VARCHAR COLLATE "C" NOT NULL,
        share SMALLINT NOT NULL,
        first_number BIGINT NOT NULL,
        last_number BIGINT NOT NULL,
        terms TEXT[] COLLATE "C" NOT NULL,
        entries BYTEA[] NOT NULL,
        PRIMARY KEY (tenant_id, language, share, first_number)
    -- A row of five hundred passages stays in its page.
    ) WITH (toast_tuple_target = 8160);
    ALTER TABLE unmerged_posting ALTER COLUMN terms SET STORAGE EXTERNAL;
    ALTER TABLE unmerged_posting ALTER COLUMN entries SET STORAGE EXTERNAL;

    ALTER TABLE unmerged_posting ENABLE ROW LEVEL SECURITY;
    ALTER TABLE unmerged_posting FORCE ROW LEVEL SECURITY;
    CREATE POLICY tenant_isolation ON unmerged_posting TO muniment_app
        USING (tenant_id = (SELECT current_tenant()))
        WITH CHECK (tenant_id = (SELECT current_tenant()));
    GRANT SELECT, INSERT, UPDATE, DELETE ON unmerged_posting TO muniment_app;
"""


def upgrade() -> None:
    op.execute(MAKE_TABLE)


def downgrade() -> None:
    op.execute(
        """
        -- The owner sees no row otherwise, and what was published last would not be found any more.
        ALTER TABLE unmerged_posting NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE posting NO FORCE ROW LEVEL SECURITY;
        INSERT INTO posting (tenant_id, language, term, first_number, last_number, passages, entries)
            SELECT tenant_id, language, each.term, first_number, last_number,
                   octet_length(each.entries) / 7, each.entries
            FROM unmerged_posting
            CROSS JOIN LATERAL unnest(terms, unmerged_posting.entries) AS each(term, entries);
        ALTER TABLE posting FORCE ROW LEVEL SECURITY;
        DROP TABLE unmerged_posting;
        DROP FUNCTION posting_share(text);
        """
    )

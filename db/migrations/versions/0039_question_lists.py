"""Lists of questions that are answered one by one; which index version an evaluation searched."""

from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None

TABLES = ("question_list", "question_list_item", "question_list_source")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE question_list (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            text_key_id UUID NOT NULL,
            collection VARCHAR,
            generate VARCHAR NOT NULL,
            top_k INTEGER NOT NULL,
            question_count INTEGER NOT NULL,
            max_tokens INTEGER,
            keep_days INTEGER NOT NULL,
            state VARCHAR NOT NULL,
            reason VARCHAR,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            started_at TIMESTAMP WITH TIME ZONE,
            finished_at TIMESTAMP WITH TIME ZONE,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(principal_id) REFERENCES principal (id),
            FOREIGN KEY(text_key_id) REFERENCES blob (id)
        );
        CREATE INDEX ix_question_list_tenant_created
            ON question_list (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_question_list_principal_id ON question_list (principal_id);
        CREATE INDEX ix_question_list_text_key_id ON question_list (text_key_id);
        CREATE INDEX ix_question_list_open ON question_list (id) WHERE finished_at IS NULL;
        CREATE INDEX ix_question_list_expires_at ON question_list (expires_at);

        CREATE TABLE question_list_item (
            list_id UUID NOT NULL,
            ordinal INTEGER NOT NULL,
            tenant_id UUID NOT NULL,
            row_number INTEGER NOT NULL,
            question BYTEA NOT NULL,
            answer BYTEA,
            outcome VARCHAR,
            tokens INTEGER NOT NULL,
            PRIMARY KEY (list_id, ordinal),
            FOREIGN KEY(list_id) REFERENCES question_list (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_question_list_item_tenant_id ON question_list_item (tenant_id);

        CREATE TABLE question_list_source (
            list_id UUID NOT NULL,
            ordinal INTEGER NOT NULL,
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            PRIMARY KEY (list_id, ordinal, file_id),
            FOREIGN KEY(list_id, ordinal)
                REFERENCES question_list_item (list_id, ordinal) ON DELETE CASCADE,
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_question_list_source_file_id ON question_list_source (file_id);
        CREATE INDEX ix_question_list_source_tenant_id ON question_list_source (tenant_id);
        """
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")
    op.execute("CREATE POLICY definer ON question_list TO CURRENT_USER USING (true)")
    op.execute(
        "ALTER TABLE evaluation_run ADD COLUMN index_version_id UUID REFERENCES index_version (id)"
    )
    op.execute(_ACROSS_TENANTS)


def downgrade() -> None:
    # The keys of what is sealed lie outside of PostgreSQL, under blobs of their own: without those rows
    # they are orphans, which the workers' sweep destroys.
    op.execute(
        """
        DROP FUNCTION spent_question_lists(uuid, integer);
        DROP FUNCTION unstarted_question_lists(interval, integer);
        DROP TABLE question_list_source;
        DROP TABLE question_list_item;
        DROP TABLE question_list;
        ALTER TABLE evaluation_run DROP COLUMN index_version_id;
        """
    )
    op.execute("ALTER TABLE blob NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM blob WHERE kind = 'question-list'")
    op.execute("ALTER TABLE blob FORCE ROW LEVEL SECURITY")


# For the workers' rounds: of every tenant, references only.
_ACROSS_TENANTS = """
-- Again after some minutes: its workflow may be lost; one that is at work is only told to look.
CREATE FUNCTION unstarted_question_lists(min_age interval, max_rows integer)
RETURNS TABLE (tenant_id uuid, list_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT question_list.tenant_id, question_list.id
    FROM question_list
    WHERE question_list.finished_at IS NULL AND question_list.state IN ('queued', 'running')
      AND question_list.created_at < now() - min_age
      AND (question_list.started_at IS NULL
           OR question_list.started_at < now() - interval '10 minutes')
    ORDER BY coalesce(question_list.started_at, question_list.created_at)
    LIMIT max_rows
$$;

CREATE FUNCTION spent_question_lists(after uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, list_id uuid, blob_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT question_list.tenant_id, question_list.id, question_list.text_key_id
    FROM question_list
    WHERE question_list.expires_at < now()
      AND (after IS NULL OR question_list.id > after)
    ORDER BY question_list.id
    LIMIT max_rows
$$;

REVOKE ALL ON FUNCTION unstarted_question_lists(interval, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION spent_question_lists(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unstarted_question_lists(interval, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION spent_question_lists(uuid, integer) TO muniment_app;
"""

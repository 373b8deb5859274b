"""Batches of files, and their items."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLES = ("batch", "batch_item")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE batch (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            workflow_id VARCHAR NOT NULL,
            run_id VARCHAR,
            state VARCHAR NOT NULL,
            priority INTEGER NOT NULL,
            total INTEGER NOT NULL,
            requested_by UUID NOT NULL,
            request_id VARCHAR,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            started_at TIMESTAMP WITH TIME ZONE,
            finished_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            UNIQUE (workflow_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(requested_by) REFERENCES principal (id)
        );
        CREATE INDEX ix_batch_tenant_id ON batch (tenant_id);
        CREATE INDEX ix_batch_tenant_created ON batch (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_batch_not_started ON batch (created_at)
            WHERE started_at IS NULL AND finished_at IS NULL;

        CREATE TABLE batch_item (
            batch_id UUID NOT NULL,
            number INTEGER NOT NULL,
            tenant_id UUID NOT NULL,
            file_id UUID NOT NULL,
            job_id UUID,
            is_own BOOLEAN NOT NULL,
            admitted_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (batch_id, number),
            UNIQUE (batch_id, file_id),
            FOREIGN KEY(batch_id) REFERENCES batch (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE SET NULL
        );
        CREATE INDEX ix_batch_item_tenant_id ON batch_item (tenant_id);
        CREATE INDEX ix_batch_item_file_id ON batch_item (file_id);
        CREATE INDEX ix_batch_item_job_id ON batch_item (job_id);
        CREATE INDEX ix_batch_item_waiting ON batch_item (batch_id, number)
            WHERE admitted_at IS NULL;
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
    op.execute(
        """
        -- Batches that were committed and that Temporal has not taken: references only.
        CREATE FUNCTION unstarted_batches(min_age interval, max_rows integer)
        RETURNS TABLE (tenant_id uuid, batch_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT batch.tenant_id, batch.id
            FROM batch
            WHERE batch.started_at IS NULL AND batch.finished_at IS NULL
              AND batch.created_at < now() - min_age
            ORDER BY batch.created_at
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION unstarted_batches(interval, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION unstarted_batches(interval, integer) TO muniment_app;
        CREATE POLICY definer ON batch TO CURRENT_USER USING (true);
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION unstarted_batches(interval, integer)")
    op.execute("DROP TABLE batch_item")
    op.execute("DROP TABLE batch")

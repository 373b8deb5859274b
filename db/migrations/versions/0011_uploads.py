"""Uploads in progress (tus), and the sealed pieces that they consist of."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TABLES = ("upload", "upload_part")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE upload (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            state VARCHAR NOT NULL,
            size BIGINT,
            received BIGINT NOT NULL,
            parts INTEGER NOT NULL,
            metadata TEXT NOT NULL,
            concatenation TEXT NOT NULL,
            file_id UUID,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            closed_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(principal_id) REFERENCES principal (id),
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE SET NULL
        );
        CREATE INDEX ix_upload_tenant_id ON upload (tenant_id);
        CREATE INDEX ix_upload_file_id ON upload (file_id);
        CREATE INDEX ix_upload_open ON upload (tenant_id, expires_at) WHERE closed_at IS NULL;
        CREATE INDEX ix_upload_expires_at ON upload (expires_at) WHERE closed_at IS NULL;
        CREATE INDEX ix_upload_closed_at ON upload (closed_at) WHERE closed_at IS NOT NULL;
        CREATE INDEX ix_upload_with_parts ON upload (id) WHERE closed_at IS NOT NULL AND parts > 0;

        CREATE TABLE upload_part (
            upload_id UUID NOT NULL,
            start BIGINT NOT NULL,
            tenant_id UUID NOT NULL,
            size BIGINT NOT NULL,
            blob_id UUID NOT NULL,
            PRIMARY KEY (upload_id, start),
            FOREIGN KEY(upload_id) REFERENCES upload (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_upload_part_tenant_id ON upload_part (tenant_id);
        CREATE UNIQUE INDEX ix_upload_part_blob_id ON upload_part (blob_id);
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
        op.execute(f"CREATE POLICY definer ON {table} TO CURRENT_USER USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")
    op.execute(
        """
        -- For the worker that clears them away: of every tenant, uploads that ran out of time, that
        -- ended and still have parts, or that ended so long ago that nobody asks for them.
        CREATE FUNCTION spent_uploads(kept_for interval, after_upload uuid, max_rows integer)
        RETURNS TABLE (tenant_id uuid, upload_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT upload.tenant_id, upload.id
            FROM upload
            WHERE (
                (upload.closed_at IS NULL AND upload.expires_at < now())
                OR upload.closed_at < now() - kept_for
                OR (upload.closed_at IS NOT NULL AND upload.parts > 0)
              )
              AND (after_upload IS NULL OR upload.id > after_upload)
            ORDER BY upload.id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION spent_uploads(interval, uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION spent_uploads(interval, uuid, integer) TO muniment_app;
        """
    )


def downgrade() -> None:
    # The keys of the parts lie outside of PostgreSQL: without rows they are orphans, which the
    # workers' sweep destroys.
    op.execute("DROP FUNCTION spent_uploads(interval, uuid, integer)")
    op.execute("DROP TABLE upload_part")
    op.execute("DROP TABLE upload")

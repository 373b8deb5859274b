"""Integrity: when each blob was last read again, the runs that do so, and the faults they found."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = ("integrity_run", "integrity_fault")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE blob ADD COLUMN verified_at TIMESTAMP WITH TIME ZONE;
        CREATE INDEX ix_blob_rotation ON blob (tenant_id, coalesce(verified_at, created_at), id)
            WHERE destroyed_at IS NULL AND kind <> 'password';

        CREATE TABLE integrity_run (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            workflow_id VARCHAR NOT NULL,
            state VARCHAR NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            finished_at TIMESTAMP WITH TIME ZONE,
            planned_blobs INTEGER,
            blobs INTEGER NOT NULL,
            looked_again INTEGER NOT NULL,
            bytes BIGINT NOT NULL,
            faults_found INTEGER NOT NULL,
            faults_closed INTEGER NOT NULL,
            is_cut_short BOOLEAN NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE UNIQUE INDEX ux_integrity_run_open ON integrity_run (tenant_id)
            WHERE finished_at IS NULL;
        CREATE INDEX ix_integrity_run_tenant_created
            ON integrity_run (tenant_id, created_at DESC, id DESC);

        CREATE TABLE integrity_fault (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            blob_id UUID NOT NULL,
            kind VARCHAR NOT NULL,
            first_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
            last_seen_at TIMESTAMP WITH TIME ZONE NOT NULL,
            closed_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(blob_id) REFERENCES blob (id) ON DELETE CASCADE
        );
        CREATE UNIQUE INDEX ux_integrity_fault_open ON integrity_fault (blob_id)
            WHERE closed_at IS NULL;
        CREATE INDEX ix_integrity_fault_blob_id ON integrity_fault (blob_id);
        CREATE INDEX ix_integrity_fault_tenant_seen
            ON integrity_fault (tenant_id, first_seen_at, id) WHERE closed_at IS NULL;
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
        -- Every tenant has a schedule of its own: ids only, for whoever creates those.
        CREATE FUNCTION tenants_after(after_tenant uuid, max_rows integer)
        RETURNS TABLE (tenant_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT tenant.id FROM tenant
            WHERE after_tenant IS NULL OR tenant.id > after_tenant
            ORDER BY tenant.id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION tenants_after(uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION tenants_after(uuid, integer) TO muniment_app;
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION tenants_after(uuid, integer)")
    op.execute("DROP TABLE integrity_fault")
    op.execute("DROP TABLE integrity_run")
    op.execute("DROP INDEX ix_blob_rotation")
    op.execute("ALTER TABLE blob DROP COLUMN verified_at")

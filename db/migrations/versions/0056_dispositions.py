"""Dispositions: sweeps of files that nothing keeps any more, what waits for two people, and decisions."""

from alembic import op

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

TABLES = {
    "retention_sweep": "SELECT, INSERT, UPDATE",
    "disposition": "SELECT, INSERT, UPDATE",
    # Written once: it is what an act is founded on.
    "retention_decision": "SELECT, INSERT",
}


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE retention_sweep (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            workflow_id VARCHAR NOT NULL,
            state VARCHAR NOT NULL,
            is_dry_run BOOLEAN NOT NULL,
            as_of TIMESTAMP WITH TIME ZONE NOT NULL,
            requested_by UUID,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            finished_at TIMESTAMP WITH TIME ZONE,
            after_id UUID,
            judged_at TIMESTAMP WITH TIME ZONE,
            most INTEGER,
            files INTEGER NOT NULL,
            held INTEGER NOT NULL,
            due_deletions INTEGER NOT NULL,
            due_reviews INTEGER NOT NULL,
            due_relabelings INTEGER NOT NULL,
            acted INTEGER NOT NULL,
            deleted INTEGER NOT NULL,
            reviews INTEGER NOT NULL,
            relabelled INTEGER NOT NULL,
            passed_over INTEGER NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE UNIQUE INDEX ux_retention_sweep_open ON retention_sweep (tenant_id)
            WHERE finished_at IS NULL;
        CREATE INDEX ix_retention_sweep_tenant_created
            ON retention_sweep (tenant_id, created_at DESC, id DESC);

        CREATE TABLE disposition (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            file_id UUID NOT NULL,
            sweep_id UUID NOT NULL,
            state VARCHAR NOT NULL,
            policies UUID[] NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            ended_at TIMESTAMP WITH TIME ZONE,
            keep_until TIMESTAMP WITH TIME ZONE,
            job_id UUID,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(sweep_id) REFERENCES retention_sweep (id)
        );
        CREATE UNIQUE INDEX ux_disposition_open ON disposition (file_id) WHERE ended_at IS NULL;
        CREATE INDEX ix_disposition_kept ON disposition (file_id, keep_until)
            WHERE keep_until IS NOT NULL;
        CREATE INDEX ix_disposition_sweep_id ON disposition (sweep_id);
        CREATE INDEX ix_disposition_tenant_created
            ON disposition (tenant_id, created_at DESC, id DESC);

        CREATE TABLE retention_decision (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            sweep_id UUID,
            disposition_id UUID,
            stage INTEGER NOT NULL,
            verdict VARCHAR NOT NULL,
            principal_id UUID NOT NULL,
            reason VARCHAR NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(sweep_id) REFERENCES retention_sweep (id),
            FOREIGN KEY(disposition_id) REFERENCES disposition (id),
            CONSTRAINT decision_is_about_one CHECK (num_nonnulls(sweep_id, disposition_id) = 1)
        );
        CREATE INDEX ix_retention_decision_tenant_id ON retention_decision (tenant_id);
        CREATE INDEX ix_retention_decision_sweep_id ON retention_decision (sweep_id);
        -- One person is one stage: also where two requests of theirs come at once.
        CREATE UNIQUE INDEX ux_retention_decision_stage
            ON retention_decision (disposition_id, stage);
        CREATE UNIQUE INDEX ux_retention_decision_person
            ON retention_decision (disposition_id, principal_id);
        """
    )
    for table, rights in TABLES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"GRANT {rights} ON {table} TO muniment_app")


def downgrade() -> None:
    op.execute("DROP TABLE retention_decision; DROP TABLE disposition; DROP TABLE retention_sweep")

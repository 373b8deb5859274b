"""Evaluations: sets of questions, the runs over them, and what those measured. Analytics: what was asked."""

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLES = (
    "evaluation_set",
    "evaluation_question",
    "evaluation_run",
    "evaluation_result",
    "evaluation_metric",
    "asked_query",
    "analytics_policy",
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE evaluation_set (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            name VARCHAR NOT NULL,
            digest BYTEA NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            is_nightly BOOLEAN NOT NULL,
            mode VARCHAR NOT NULL,
            collection VARCHAR,
            identified_by VARCHAR NOT NULL,
            answers VARCHAR NOT NULL,
            is_judged BOOLEAN NOT NULL,
            tolerance FLOAT NOT NULL,
            question_count INTEGER NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(principal_id) REFERENCES principal (id)
        );
        CREATE UNIQUE INDEX ux_evaluation_set_digest
            ON evaluation_set (tenant_id, principal_id, digest);
        CREATE INDEX ix_evaluation_set_principal_id ON evaluation_set (principal_id);

        CREATE TABLE evaluation_question (
            set_id UUID NOT NULL,
            ordinal INTEGER NOT NULL,
            tenant_id UUID NOT NULL,
            question_id VARCHAR NOT NULL,
            text VARCHAR NOT NULL,
            judgements JSONB NOT NULL,
            answers VARCHAR[] NOT NULL,
            PRIMARY KEY (set_id, ordinal),
            FOREIGN KEY(set_id) REFERENCES evaluation_set (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_evaluation_question_tenant_id ON evaluation_question (tenant_id);

        CREATE TABLE evaluation_run (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            set_id UUID NOT NULL,
            workflow_id VARCHAR NOT NULL,
            state VARCHAR NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            finished_at TIMESTAMP WITH TIME ZONE,
            notes VARCHAR[] NOT NULL DEFAULT '{}',
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(set_id) REFERENCES evaluation_set (id) ON DELETE CASCADE
        );
        CREATE UNIQUE INDEX ux_evaluation_run_open ON evaluation_run (set_id)
            WHERE finished_at IS NULL;
        CREATE INDEX ix_evaluation_run_set_id
            ON evaluation_run (set_id, created_at DESC, id DESC);
        CREATE INDEX ix_evaluation_run_tenant_created
            ON evaluation_run (tenant_id, created_at DESC, id DESC);

        CREATE TABLE evaluation_result (
            run_id UUID NOT NULL,
            ordinal INTEGER NOT NULL,
            tenant_id UUID NOT NULL,
            figures JSONB NOT NULL,
            PRIMARY KEY (run_id, ordinal),
            FOREIGN KEY(run_id) REFERENCES evaluation_run (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_evaluation_result_tenant_id ON evaluation_result (tenant_id);

        CREATE TABLE evaluation_metric (
            run_id UUID NOT NULL,
            name VARCHAR NOT NULL,
            tenant_id UUID NOT NULL,
            value FLOAT NOT NULL,
            PRIMARY KEY (run_id, name),
            FOREIGN KEY(run_id) REFERENCES evaluation_run (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_evaluation_metric_tenant_id ON evaluation_metric (tenant_id);

        CREATE TABLE asked_query (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            asked_at TIMESTAMP WITH TIME ZONE NOT NULL,
            kind VARCHAR NOT NULL,
            key BYTEA NOT NULL,
            text VARCHAR,
            found INTEGER NOT NULL,
            milliseconds FLOAT NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_asked_query_tenant_asked ON asked_query (tenant_id, asked_at);
        CREATE INDEX ix_asked_query_tenant_key ON asked_query (tenant_id, key, asked_at);
        CREATE INDEX ix_asked_query_tenant_text ON asked_query (tenant_id, asked_at)
            WHERE text IS NOT NULL;

        CREATE TABLE analytics_policy (
            tenant_id UUID NOT NULL,
            keeps VARCHAR NOT NULL,
            keep_days INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
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


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")

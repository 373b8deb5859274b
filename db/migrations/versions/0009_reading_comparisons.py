"""Comparisons of a candidate's reading with the published one: figures, page by page."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLES = ("reading_comparison", "compared_page")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE reading_comparison (
            version_id UUID NOT NULL,
            candidate VARCHAR NOT NULL,
            tenant_id UUID NOT NULL,
            file_id UUID NOT NULL,
            job_id UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            compared_at TIMESTAMP WITH TIME ZONE,
            present_readers VARCHAR[],
            candidate_readers VARCHAR[],
            pages INTEGER,
            present_failed INTEGER,
            candidate_failed INTEGER,
            present_seconds FLOAT,
            candidate_seconds FLOAT,
            structure JSONB,
            PRIMARY KEY (version_id, candidate),
            UNIQUE (job_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_reading_comparison_file_id ON reading_comparison (file_id);
        CREATE INDEX ix_reading_comparison_tenant_id ON reading_comparison (tenant_id);
        CREATE INDEX ix_reading_comparison_tenant_created
            ON reading_comparison (tenant_id, created_at DESC, job_id DESC);

        CREATE TABLE compared_page (
            version_id UUID NOT NULL,
            candidate VARCHAR NOT NULL,
            page INTEGER NOT NULL,
            tenant_id UUID NOT NULL,
            similarity FLOAT NOT NULL,
            present_words INTEGER NOT NULL,
            candidate_words INTEGER NOT NULL,
            words_lost INTEGER NOT NULL,
            words_gained INTEGER NOT NULL,
            present_confidence FLOAT,
            candidate_confidence FLOAT,
            PRIMARY KEY (version_id, candidate, page),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(version_id, candidate)
                REFERENCES reading_comparison (version_id, candidate) ON DELETE CASCADE
        );
        CREATE INDEX ix_compared_page_tenant_id ON compared_page (tenant_id);
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
    op.execute("DROP TABLE compared_page")
    op.execute("DROP TABLE reading_comparison")
    # What Temporal still has of them ends of itself: without its job nothing of it is kept.
    op.execute("DELETE FROM job WHERE kind = 'compare_reading'")

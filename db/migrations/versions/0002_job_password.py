"""Passwords of encrypted documents: sealed, and only until their job has ended."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE job_password (
            job_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            blob_id UUID NOT NULL,
            tag BYTEA NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (job_id),
            FOREIGN KEY(job_id) REFERENCES job (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(blob_id) REFERENCES blob (id)
        );
        CREATE INDEX ix_job_password_tenant_id ON job_password (tenant_id);
        CREATE INDEX ix_job_password_blob_id ON job_password (blob_id);
        ALTER TABLE job_password ENABLE ROW LEVEL SECURITY;
        ALTER TABLE job_password FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON job_password TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, DELETE ON job_password TO muniment_app;
        CREATE POLICY definer ON job_password TO CURRENT_USER USING (true);

        -- For the worker that destroys them: jobs of every tenant that have ended.
        CREATE FUNCTION spent_passwords(after_job uuid, max_rows integer)
        RETURNS TABLE (tenant_id uuid, job_id uuid, blob_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT job_password.tenant_id, job_password.job_id, job_password.blob_id
            FROM job_password JOIN job ON job.id = job_password.job_id
            WHERE job.finished_at IS NOT NULL
              AND (after_job IS NULL OR job.id > after_job)
            ORDER BY job_password.job_id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION spent_passwords(uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION spent_passwords(uuid, integer) TO muniment_app;
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION spent_passwords(uuid, integer)")
    op.execute("DROP TABLE job_password")
    # Nobody would destroy them any more when their jobs end. The keys lie outside of PostgreSQL:
    # without a row the passwords are orphans, whose keys the workers' sweep destroys. Its owner may
    # see no row of the table otherwise.
    op.execute("ALTER TABLE blob NO FORCE ROW LEVEL SECURITY")
    op.execute("DELETE FROM blob WHERE kind = 'password'")
    op.execute("ALTER TABLE blob FORCE ROW LEVEL SECURITY")

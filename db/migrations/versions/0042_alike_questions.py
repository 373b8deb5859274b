"""Answers that are told again to questions that are nearly the same, where a tenant wants that.

Both new columns of `cached_response` are null for tenants that do not: a keyed hash of all that has to be
equal, and the question's vector, sealed as the response is.
"""

from alembic import op

revision = "0042"
down_revision = "0041"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE alike_question_policy (
            tenant_id UUID NOT NULL,
            least_likeness DOUBLE PRECISION,
            revision INTEGER NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        ALTER TABLE alike_question_policy ENABLE ROW LEVEL SECURITY;
        ALTER TABLE alike_question_policy FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON alike_question_policy TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON alike_question_policy TO muniment_app;

        ALTER TABLE cached_response
            ADD COLUMN alike_key BYTEA,
            ADD COLUMN sealed_vector BYTEA;
        CREATE INDEX ix_cached_response_alike
            ON cached_response (tenant_id, alike_key, created_at DESC) WHERE alike_key IS NOT NULL;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX ix_cached_response_alike;
        ALTER TABLE cached_response DROP COLUMN sealed_vector, DROP COLUMN alike_key;
        DROP TABLE alike_question_policy;
        """
    )

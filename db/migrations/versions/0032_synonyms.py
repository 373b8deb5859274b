"""Words that a tenant's administrators say mean the same."""

from alembic import op

revision = "0032"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE synonym (
            tenant_id UUID NOT NULL,
            place INTEGER NOT NULL,
            words TEXT[] NOT NULL,
            also TEXT[] NOT NULL,
            keys TEXT[] NOT NULL,
            PRIMARY KEY (tenant_id, place),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        ALTER TABLE synonym ENABLE ROW LEVEL SECURITY;
        ALTER TABLE synonym FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON synonym TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON synonym TO muniment_app;
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE synonym")

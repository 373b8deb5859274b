"""Layers of pages: what each engine read of a page, the present reading among them."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE page_layer (
            version_id UUID NOT NULL,
            page INTEGER NOT NULL,
            engine VARCHAR NOT NULL,
            engine_version VARCHAR NOT NULL,
            tenant_id UUID NOT NULL,
            source VARCHAR NOT NULL,
            confidence FLOAT,
            blob_id UUID NOT NULL,
            position INTEGER NOT NULL,
            is_current BOOLEAN NOT NULL,
            read_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (version_id, page, engine, engine_version),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(version_id) REFERENCES file_version (id) ON DELETE CASCADE,
            FOREIGN KEY(blob_id) REFERENCES blob (id)
        );
        CREATE INDEX ix_page_layer_tenant_id ON page_layer (tenant_id);
        CREATE INDEX ix_page_layer_blob_id ON page_layer (blob_id);
        ALTER TABLE page_layer ENABLE ROW LEVEL SECURITY;
        ALTER TABLE page_layer FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON page_layer TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON page_layer TO muniment_app;
        """
    )


def downgrade() -> None:
    op.execute("DROP TABLE page_layer")

"""Files in more than one collection, as the vector stores of OpenAI's clients hold them."""

from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

TABLES = ("vector_store_file", "vector_store_batch")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE collection ADD COLUMN metadata JSONB NOT NULL DEFAULT '{}';

        CREATE TABLE vector_store_file (
            collection_id UUID NOT NULL,
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (collection_id, file_id),
            FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_vector_store_file_file_id ON vector_store_file (file_id);
        CREATE INDEX ix_vector_store_file_tenant_id ON vector_store_file (tenant_id);

        CREATE TABLE vector_store_batch (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            collection_id UUID NOT NULL,
            file_ids UUID[] NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_vector_store_batch_collection_id ON vector_store_batch (collection_id);
        CREATE INDEX ix_vector_store_batch_tenant_id ON vector_store_batch (tenant_id);
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
    op.execute("ALTER TABLE collection DROP COLUMN metadata")

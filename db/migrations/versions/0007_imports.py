"""Batches of objects that lie in a source of imports."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE batch
            ADD COLUMN source VARCHAR,
            ADD COLUMN prefix VARCHAR NOT NULL DEFAULT '',
            ADD COLUMN collection_id UUID REFERENCES collection (id),
            ADD COLUMN listed_to VARCHAR,
            ADD COLUMN listed_at TIMESTAMP WITH TIME ZONE,
            ADD COLUMN truncated BOOLEAN NOT NULL DEFAULT false,
            ADD COLUMN problem VARCHAR;
        ALTER TABLE batch ALTER COLUMN prefix DROP DEFAULT, ALTER COLUMN truncated DROP DEFAULT;
        CREATE INDEX ix_batch_collection_id ON batch (collection_id);
        ALTER TABLE batch_item
            ALTER COLUMN file_id DROP NOT NULL,
            ADD COLUMN object_key VARCHAR,
            ADD COLUMN object_size BIGINT NOT NULL DEFAULT 0,
            ADD COLUMN problem VARCHAR,
            DROP CONSTRAINT batch_item_batch_id_file_id_key;
        ALTER TABLE batch_item ALTER COLUMN object_size DROP DEFAULT;
        CREATE UNIQUE INDEX ix_batch_item_named_file ON batch_item (batch_id, file_id)
            WHERE object_key IS NULL;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        -- What was not named by its file has no place in the former shape.
        DELETE FROM batch WHERE source IS NOT NULL;
        DROP INDEX ix_batch_item_named_file;
        ALTER TABLE batch_item
            DROP COLUMN object_key, DROP COLUMN object_size, DROP COLUMN problem,
            ALTER COLUMN file_id SET NOT NULL,
            ADD CONSTRAINT batch_item_batch_id_file_id_key UNIQUE (batch_id, file_id);
        ALTER TABLE batch
            DROP COLUMN source, DROP COLUMN prefix, DROP COLUMN collection_id,
            DROP COLUMN listed_to, DROP COLUMN listed_at, DROP COLUMN truncated,
            DROP COLUMN problem;
        """
    )

"""Tiers: where each blob lies, and what is on its way to the other store. Who joins an upload, so that no
two processes do. Verifications that ended because the store was away."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE upload
            ADD COLUMN joining_id UUID,
            ADD COLUMN joining_until TIMESTAMP WITH TIME ZONE;

        ALTER TABLE integrity_run
            ADD COLUMN is_store_away BOOLEAN NOT NULL DEFAULT false,
            ADD COLUMN away_tiers VARCHAR[] NOT NULL DEFAULT '{}';

        ALTER TABLE blob
            ADD COLUMN tier VARCHAR NOT NULL DEFAULT 'hot',
            ADD COLUMN accessed_at TIMESTAMP WITH TIME ZONE;
        CREATE INDEX ix_blob_hot_content
            ON blob (tenant_id, coalesce(accessed_at, created_at), id)
            WHERE destroyed_at IS NULL AND kind = 'content' AND tier = 'hot';

        CREATE TABLE tier_move (
            blob_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            destination VARCHAR NOT NULL,
            requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
            switched_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (blob_id),
            FOREIGN KEY(blob_id) REFERENCES blob (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_tier_move_tenant_id ON tier_move (tenant_id);

        ALTER TABLE tier_move ENABLE ROW LEVEL SECURITY;
        ALTER TABLE tier_move FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON tier_move TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON tier_move TO muniment_app;
        """
    )


def downgrade() -> None:
    # The code of before looks into one store: what lies in the cold one would be lost to it, and its
    # erasures would leave that behind.
    op.execute(
        """
        ALTER TABLE blob NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE tier_move NO FORCE ROW LEVEL SECURITY;
        DO $$ BEGIN
            IF EXISTS (SELECT 1 FROM blob WHERE tier = 'cold' AND destroyed_at IS NULL)
               OR EXISTS (SELECT 1 FROM tier_move) THEN
                RAISE EXCEPTION 'content lies in the cold tier, or is on its way'
                    USING HINT = 'Bring all back first: docs/operations.md, "A second store".';
            END IF;
        END $$;
        ALTER TABLE blob FORCE ROW LEVEL SECURITY;
        """
    )
    op.execute(
        """
        DROP TABLE tier_move;
        DROP INDEX ix_blob_hot_content;
        ALTER TABLE blob DROP COLUMN tier, DROP COLUMN accessed_at;
        ALTER TABLE integrity_run DROP COLUMN is_store_away, DROP COLUMN away_tiers;
        ALTER TABLE upload DROP COLUMN joining_id, DROP COLUMN joining_until;
        """
    )

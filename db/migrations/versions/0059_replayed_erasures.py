"""Erasures that are repeated after a restore, why they were asked for, what was erased as keyed hashes, and
when PostgreSQL has let go of their rows."""

from alembic import op

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

VACUUMED = (
    *("chunk", "lexical_document", "posting", "posting_removal", "unmerged_posting", "embedding"),
    *("cached_response", "page", "page_layer", "reading_comparison", "compared_page"),
    *("finding", "finding_judgement", "stage_output", "job_event", "batch_item", "file_access"),
    *("access_grant", "vector_store_file", "vector_store_batch", "annotation", "annotation_anchor"),
    *("annotation_comment", "message_source", "conversation_message", "answer_event", "feedback"),
    *("share_link", "share_session", "share_try", "question_list_item", "question_list_source"),
    *("activity", "idempotency_key", "file", "file_version"),
    *("blob", "blob_reference", "stage_result", "integrity_fault", "tier_move"),
    *("upload", "upload_part", "subject_request"),
)
"""Tables that erasures take rows out of (activities/erasure/stores.py). The application role owns none of
them, and may have them vacuumed."""


def upgrade() -> None:
    op.execute(
        """
        -- How far the ledger of erasures was compared with this database. It goes along with a dump, so that
        -- what stands behind it is what a restored database may lack.
        CREATE TABLE erasure_ledger_mark (
            is_only BOOLEAN DEFAULT true NOT NULL CONSTRAINT there_is_one CHECK (is_only),
            offset_bytes BIGINT NOT NULL,
            line_hash BYTEA NOT NULL,
            at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (is_only)
        );
        ALTER TABLE erasure_ledger_mark ENABLE ROW LEVEL SECURITY;
        ALTER TABLE erasure_ledger_mark FORCE ROW LEVEL SECURITY;
        -- Of no tenant: a place in a file.
        CREATE POLICY of_the_installation ON erasure_ledger_mark TO muniment_app
            USING (true) WITH CHECK (true);
        GRANT SELECT, INSERT, UPDATE ON erasure_ledger_mark TO muniment_app;

        ALTER TABLE erasure
            ADD COLUMN reason VARCHAR,
            ADD COLUMN content_tags BYTEA[],
            ADD COLUMN first_erased_at TIMESTAMP WITH TIME ZONE,
            ADD COLUMN finished_x xid8,
            ADD COLUMN vacuumed_at TIMESTAMP WITH TIME ZONE;
        CREATE INDEX ix_erasure_to_vacuum ON erasure (tenant_id, finished_x)
            WHERE finished_x IS NOT NULL AND vacuumed_at IS NULL;

        -- Of every tenant, for who vacuums: PostgreSQL's free space is nobody's.
        CREATE POLICY definer ON erasure TO CURRENT_USER USING (true);
        CREATE FUNCTION tenants_to_vacuum_for(horizon xid8) RETURNS SETOF UUID
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT DISTINCT erasure.tenant_id FROM erasure
            WHERE erasure.finished_x IS NOT NULL AND erasure.vacuumed_at IS NULL
            -- What a dump of another cluster brought is of the future, and deleted in no page here.
            AND (erasure.finished_x < horizon
                OR erasure.finished_x >= pg_snapshot_xmax(pg_current_snapshot()))
        $$;
        REVOKE ALL ON FUNCTION tenants_to_vacuum_for(xid8) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION tenants_to_vacuum_for(xid8) TO muniment_app;
        """
    )
    op.execute(f"GRANT MAINTAIN ON {', '.join(VACUUMED)} TO muniment_app")


def downgrade() -> None:
    op.execute(f"REVOKE MAINTAIN ON {', '.join(VACUUMED)} FROM muniment_app")
    op.execute(
        """
        DROP FUNCTION tenants_to_vacuum_for(xid8);
        DROP POLICY definer ON erasure;
        ALTER TABLE erasure DROP COLUMN reason, DROP COLUMN content_tags, DROP COLUMN first_erased_at,
            DROP COLUMN finished_x, DROP COLUMN vacuumed_at;
        DROP TABLE erasure_ledger_mark;
        """
    )

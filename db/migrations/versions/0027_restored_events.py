"""Deleting a blob looks into an index for the versions whose document it is. The owner takes in events
that a dump of another cluster brought (db/restored.py), also where row-level security binds it."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

ANY_CLUSTERS_NUMBER = "gone.x"
NUMBER_OF_THIS_CLUSTER = "least(gone.x, pg_current_xact_id())"
"""What was restored and is erased before it is taken in is behind the present, and not ahead of it."""


def upgrade() -> None:
    op.execute(_note_forgotten_events(NUMBER_OF_THIS_CLUSTER))
    op.execute(
        """
        CREATE INDEX ix_file_version_document_blob_id ON file_version (document_blob_id)
            WHERE document_blob_id IS NOT NULL;

        -- What remains of an erased file keeps nobody from deleting its collection.
        ALTER TABLE file ALTER COLUMN collection_id DROP NOT NULL,
            ADD CONSTRAINT file_has_collection
            CHECK (collection_id IS NOT NULL OR state = 'erased');

        CREATE POLICY definer ON job_event TO CURRENT_USER USING (true);
        -- The one for INSERT was there before.
        CREATE POLICY restored_seen ON audit_event FOR SELECT TO CURRENT_USER USING (true);
        CREATE POLICY restored ON audit_event FOR UPDATE TO CURRENT_USER USING (true);
        """
    )


def _note_forgotten_events(number: str) -> str:
    return f"""
        CREATE OR REPLACE FUNCTION note_forgotten_events() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        BEGIN
            INSERT INTO job_event_horizon AS horizon (tenant_id, x, event_id)
            SELECT DISTINCT ON (gone.tenant_id) gone.tenant_id, {number}, gone.id
            FROM gone ORDER BY gone.tenant_id, gone.x DESC, gone.id DESC
            ON CONFLICT (tenant_id) DO UPDATE SET x = excluded.x, event_id = excluded.event_id
            WHERE (horizon.x, horizon.event_id) < (excluded.x, excluded.event_id);
            RETURN NULL;
        END
        $$;
    """  # noqa: S608 - a constant


def downgrade() -> None:
    op.execute(_note_forgotten_events(ANY_CLUSTERS_NUMBER))
    # Row-level security hides from its owner what is to be changed.
    op.execute(
        """
        ALTER TABLE file NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
        WITH made AS (
            INSERT INTO collection (id, tenant_id, name, visibility, text_mode, revision, created_at)
            SELECT gen_random_uuid(), tenant_id, 'erased ' || gen_random_uuid(), 'private', 'full', 1, now()
            FROM file WHERE collection_id IS NULL GROUP BY tenant_id RETURNING id, tenant_id)
        UPDATE file SET collection_id = made.id FROM made
        WHERE file.tenant_id = made.tenant_id AND file.collection_id IS NULL;
        ALTER TABLE file DROP CONSTRAINT file_has_collection,
            ALTER COLUMN collection_id SET NOT NULL;
        ALTER TABLE collection FORCE ROW LEVEL SECURITY;
        ALTER TABLE file FORCE ROW LEVEL SECURITY;
        """
    )
    op.execute(
        """
        DROP POLICY restored ON audit_event;
        DROP POLICY restored_seen ON audit_event;
        DROP POLICY definer ON job_event;
        DROP INDEX ix_file_version_document_blob_id;
        """
    )

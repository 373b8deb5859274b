"""Deleting a blob looks into an index for the versions whose document it is. The owner takes in events
that a dump of another cluster brought (db/restored.py), also where row-level security binds it."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
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


def downgrade() -> None:
    # Row-level security hides from its owner what is to be changed.
    op.execute(
        """
        ALTER TABLE file NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
        INSERT INTO collection (id, tenant_id, name, visibility, text_mode, revision, created_at)
            SELECT gen_random_uuid(), tenant_id, 'erased ' || gen_random_uuid(), 'private', 'full', 1, now()
            FROM file WHERE collection_id IS NULL GROUP BY tenant_id;
        UPDATE file SET collection_id = (
            SELECT id FROM collection WHERE collection.tenant_id = file.tenant_id
            ORDER BY created_at DESC LIMIT 1)
        WHERE collection_id IS NULL;
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

"""Deleting a blob looks into an index for the versions whose document it is. The owner takes in events that a dump of another
cluster brought (db/restored.py), also where row-level security binds it."""

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

        CREATE POLICY definer ON job_event TO CURRENT_USER USING (true);
        -- The one for INSERT was there before.
        CREATE POLICY restored_seen ON audit_event FOR SELECT TO CURRENT_USER USING (true);
        CREATE POLICY restored ON audit_event FOR UPDATE TO CURRENT_USER USING (true);
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP POLICY restored ON audit_event;
        DROP POLICY restored_seen ON audit_event;
        DROP POLICY definer ON job_event;
        DROP INDEX ix_file_version_document_blob_id;
        """
    )

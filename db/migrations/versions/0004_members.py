"""Lineage: which file a member of an archive, or an attachment, came out of."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE file
            ADD COLUMN parent_id UUID REFERENCES file (id) ON DELETE SET NULL,
            ADD COLUMN parent_version_id UUID REFERENCES file_version (id) ON DELETE SET NULL,
            ADD COLUMN root_id UUID,
            ADD COLUMN member_ordinal INTEGER,
            ADD COLUMN member_path VARCHAR;
        CREATE UNIQUE INDEX ux_file_member ON file (parent_version_id, member_ordinal)
            WHERE parent_version_id IS NOT NULL;
        CREATE INDEX ix_file_parent ON file (parent_id) WHERE parent_id IS NOT NULL;
        CREATE INDEX ix_file_root ON file (root_id) WHERE root_id IS NOT NULL;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE file
            DROP COLUMN parent_id, DROP COLUMN parent_version_id, DROP COLUMN root_id,
            DROP COLUMN member_ordinal, DROP COLUMN member_path;
        """
    )

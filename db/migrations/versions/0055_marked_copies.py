"""Share links that hand out copies with the name of whoever shared them on each page."""

from alembic import op

revision = "0055"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE share_link ADD COLUMN watermark BOOLEAN NOT NULL DEFAULT false")


def downgrade() -> None:
    op.execute(
        """
        -- The former release would hand out what they lead to without a mark.
        ALTER TABLE share_link NO FORCE ROW LEVEL SECURITY;
        UPDATE share_link SET revoked_at = now() WHERE watermark AND revoked_at IS NULL;
        ALTER TABLE share_link FORCE ROW LEVEL SECURITY;
        ALTER TABLE share_link DROP COLUMN watermark;
        """
    )

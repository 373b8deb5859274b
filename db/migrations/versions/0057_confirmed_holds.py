"""Legal holds that a person says are still needed."""

from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE legal_hold ADD COLUMN confirmed_at TIMESTAMP WITH TIME ZONE;
        ALTER TABLE legal_hold ADD COLUMN confirmed_by UUID;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE legal_hold DROP COLUMN confirmed_by;
        ALTER TABLE legal_hold DROP COLUMN confirmed_at;
        """
    )

"""Rotations know which provider's versions theirs are, since the provider can be changed, and the parts of
uploads whose keys they are just replacing. Erasures know what is left in a cold store that was away."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE key_rotation
            ADD COLUMN provider VARCHAR,
            ADD COLUMN replacing UUID[] NOT NULL DEFAULT '{}';
        ALTER TABLE erasure ADD COLUMN ciphertexts_left INTEGER NOT NULL DEFAULT 0;
        """
    )


def downgrade() -> None:
    op.execute("ALTER TABLE erasure DROP COLUMN ciphertexts_left")
    op.execute("ALTER TABLE key_rotation DROP COLUMN provider, DROP COLUMN replacing")

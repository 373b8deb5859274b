"""Postings without a foreign key to their tenant: a publication adds thousands of rows, and looked it up for
each. Row-level security lets nobody write one but for the current tenant; a document's row has the key.
"""

from alembic import op

revision = "0038"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE posting DROP CONSTRAINT posting_tenant_id_fkey")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE posting ADD CONSTRAINT posting_tenant_id_fkey"
        " FOREIGN KEY (tenant_id) REFERENCES tenant (id)"
    )

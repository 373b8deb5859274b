"""Collections: whoever owns a private one reads what others put there, an import does not keep one
from being deleted, and the schema's owner sees those of the tenant it acts for. Ended listings
forget the object that they came to."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

OPEN_TO_THE_TENANT = "collection.visibility = 'tenant'"
OPEN_OR_OWN = f"{OPEN_TO_THE_TENANT} OR collection.owner_id = (SELECT current_principal())"


def upgrade() -> None:
    op.execute(_visible_files(OPEN_OR_OWN))
    op.execute(
        """
        -- The owner that is no superuser makes a tenant's first collection, and sees it afterwards.
        CREATE POLICY definer ON collection TO CURRENT_USER
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        """
    )
    _refer_to_collection("ON DELETE SET NULL")
    op.execute(
        """
        -- Its name would outlive the erasure of the file that it became.
        UPDATE batch SET listed_to = NULL WHERE listed_at IS NOT NULL OR finished_at IS NOT NULL;
        """
    )


def downgrade() -> None:
    _refer_to_collection("")
    op.execute("DROP POLICY definer ON collection")
    op.execute(_visible_files(OPEN_TO_THE_TENANT))


def _refer_to_collection(on_delete: str) -> None:
    """Row-level security hides from its owner the rows by which a new foreign key is checked."""
    op.execute(
        f"""
        ALTER TABLE collection NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE batch NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE batch DROP CONSTRAINT batch_collection_id_fkey;
        ALTER TABLE batch ADD CONSTRAINT batch_collection_id_fkey
            FOREIGN KEY (collection_id) REFERENCES collection (id) {on_delete};
        ALTER TABLE collection FORCE ROW LEVEL SECURITY;
        ALTER TABLE batch FORCE ROW LEVEL SECURITY;
        """
    )


def _visible_files(read_collections: str) -> str:
    """The one function of visibility; files in these collections may be read."""
    return f"""
        CREATE OR REPLACE FUNCTION visible_files(level text DEFAULT 'read') RETURNS SETOF uuid
        LANGUAGE sql STABLE PARALLEL SAFE AS
        $$
            SELECT file.id
            FROM file
            WHERE file.tenant_id = (SELECT current_tenant())
              AND (
                (SELECT current_principal()) IS NULL
                OR (SELECT principal.is_admin FROM principal
                    WHERE principal.id = current_principal())
                OR file.owner_id = (SELECT current_principal())
                OR (
                    level = 'read'
                    AND file.collection_id IN (
                        SELECT collection.id FROM collection WHERE {read_collections}
                    )
                )
                OR EXISTS (
                    SELECT 1
                    FROM access_grant
                    WHERE (access_grant.file_id = file.id
                           OR access_grant.collection_id = file.collection_id)
                      AND array_position(ARRAY['read', 'write', 'manage'], access_grant.level)
                          >= array_position(ARRAY['read', 'write', 'manage'], visible_files.level)
                      AND (
                        access_grant.principal_id = (SELECT current_principal())
                        OR access_grant.group_id IN (
                            SELECT group_member.group_id FROM group_member
                            WHERE group_member.principal_id = (SELECT current_principal())
                        )
                      )
                )
              )
        $$
    """  # noqa: S608 - constants of this module

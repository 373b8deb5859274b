"""Whoever is disabled sees nothing, in whatever acts for them: links, endpoints, imports."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

IS_ENABLED = """
              AND NOT EXISTS (
                SELECT 1 FROM principal
                WHERE principal.id = (SELECT current_principal())
                  AND principal.disabled_at IS NOT NULL
              )"""


def upgrade() -> None:
    op.execute(_visible_files(IS_ENABLED))


def downgrade() -> None:
    op.execute(_visible_files(""))


def _visible_files(is_enabled: str) -> str:
    """The one function of visibility."""
    return f"""
        CREATE OR REPLACE FUNCTION visible_files(level text DEFAULT 'read') RETURNS SETOF uuid
        LANGUAGE sql STABLE PARALLEL SAFE AS
        $$
            SELECT file.id
            FROM file
            WHERE file.tenant_id = (SELECT current_tenant()){is_enabled}
              AND (
                (SELECT current_principal()) IS NULL
                OR (SELECT principal.is_admin FROM principal
                    WHERE principal.id = current_principal())
                OR file.owner_id = (SELECT current_principal())
                OR (
                    level = 'read'
                    AND file.collection_id IN (
                        SELECT collection.id FROM collection
                        WHERE collection.visibility = 'tenant'
                           OR collection.owner_id = (SELECT current_principal())
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

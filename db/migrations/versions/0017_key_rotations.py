"""Rotations of tenants' keys: how far each has come. Keys never lie here."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read,webhooks:manage,shares:manage,files:share,"
    "principals:manage}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE key_rotation (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            state VARCHAR NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            finished_at TIMESTAMP WITH TIME ZONE,
            from_version INTEGER,
            to_version INTEGER,
            round INTEGER NOT NULL,
            shards_done INTEGER NOT NULL,
            keys_looked_at BIGINT NOT NULL,
            keys_rewrapped BIGINT NOT NULL,
            keys_unreadable BIGINT NOT NULL,
            retire_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE UNIQUE INDEX ux_key_rotation_open ON key_rotation (tenant_id)
            WHERE finished_at IS NULL;
        CREATE INDEX ix_key_rotation_tenant_created
            ON key_rotation (tenant_id, created_at DESC, id DESC);
        ALTER TABLE key_rotation ENABLE ROW LEVEL SECURITY;
        ALTER TABLE key_rotation FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON key_rotation TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON key_rotation TO muniment_app;
        """
    )
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    op.execute(
        "UPDATE api_key SET scopes = array_append(api_key.scopes, 'encryption:manage')"  # noqa: S608 - constant
        " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
        f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
        " AND NOT 'encryption:manage' = ANY(api_key.scopes)"
    )


def downgrade() -> None:
    op.execute("UPDATE api_key SET scopes = array_remove(scopes, 'encryption:manage')")
    op.execute("DROP TABLE key_rotation")

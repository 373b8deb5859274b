"""Share links: files downloaded without a key, by whoever has the link."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

TABLES = ("share_link", "share_session", "share_try")
FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE share_link (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            file_id UUID NOT NULL,
            version_number INTEGER,
            created_by UUID NOT NULL,
            token_hash BYTEA NOT NULL,
            session_key BYTEA NOT NULL,
            password_hash VARCHAR,
            networks TEXT[] DEFAULT '{}' NOT NULL,
            max_downloads INTEGER,
            downloads INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            last_used_at TIMESTAMP WITH TIME ZONE,
            revoked_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(file_id) REFERENCES file (id) ON DELETE CASCADE,
            FOREIGN KEY(created_by) REFERENCES principal (id) ON DELETE CASCADE,
            UNIQUE (token_hash)
        );
        CREATE INDEX ix_share_link_tenant_created
            ON share_link (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_share_link_file_id ON share_link (file_id, created_at DESC, id DESC);
        CREATE INDEX ix_share_link_created_by
            ON share_link (created_by, created_at DESC, id DESC);

        CREATE TABLE share_session (
            share_id UUID NOT NULL,
            session_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (share_id, session_id),
            FOREIGN KEY(share_id) REFERENCES share_link (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_share_session_expires ON share_session (expires_at);

        CREATE TABLE share_try (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            share_id UUID NOT NULL,
            address BYTEA NOT NULL,
            at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(share_id) REFERENCES share_link (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_share_try_share_at ON share_try (share_id, at);
        CREATE INDEX ix_share_try_at ON share_try (at);
        """
    )
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"CREATE POLICY definer ON {table} TO CURRENT_USER USING (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")
    op.execute(
        """
        -- Looked up before the tenant is known: a token's hash is unguessable, so knowing it is the
        -- proof. A revoked link is found no more than one that never was.
        CREATE FUNCTION find_share_link(hash bytea)
        RETURNS TABLE (tenant_id uuid, share_id uuid, created_by uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT share_link.tenant_id, share_link.id, share_link.created_by
            FROM share_link
            WHERE share_link.token_hash = hash AND share_link.revoked_at IS NULL
        $$;
        REVOKE ALL ON FUNCTION find_share_link(bytea) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION find_share_link(bytea) TO muniment_app;

        -- For the worker that clears them away: whose sessions have expired, and tries are too old.
        CREATE FUNCTION tenants_with_spent_visits(
            kept_for interval, after_tenant uuid, max_rows integer
        )
        RETURNS TABLE (tenant_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT spent.tenant_id
            FROM (
                SELECT share_session.tenant_id FROM share_session
                WHERE share_session.expires_at < now()
                UNION
                SELECT share_try.tenant_id FROM share_try WHERE share_try.at < now() - kept_for
            ) spent
            WHERE after_tenant IS NULL OR spent.tenant_id > after_tenant
            ORDER BY spent.tenant_id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION tenants_with_spent_visits(interval, uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION tenants_with_spent_visits(interval, uuid, integer)
            TO muniment_app;
        """
    )
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    op.execute(
        "UPDATE api_key SET scopes = array_append(api_key.scopes, 'shares:manage')"  # noqa: S608 - constant
        " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
        f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
        " AND NOT 'shares:manage' = ANY(api_key.scopes)"
    )


def downgrade() -> None:
    op.execute("UPDATE api_key SET scopes = array_remove(scopes, 'shares:manage')")
    op.execute("DROP FUNCTION tenants_with_spent_visits(interval, uuid, integer)")
    op.execute("DROP FUNCTION find_share_link(bytea)")
    op.execute("DROP TABLE share_try")
    op.execute("DROP TABLE share_session")
    op.execute("DROP TABLE share_link")

"""The other doors: people whom an issuer of tokens vouches for, sessions of browsers, and tenants that
an operator makes and disables."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

FORMER_SCOPES = (
    "files:read",
    "files:write",
    "files:delete",
    "jobs:read",
    "jobs:write",
    "search",
    "audit:read",
    "metrics:read",
    "keys:manage",
    "quarantine:decide",
    "payloads:read",
    "webhooks:manage",
    "shares:manage",
    "files:share",
    "principals:manage",
    "encryption:manage",
)
NEW_SCOPE = "tenants:manage"
FUNCTIONS = (
    "find_external_identity(text, bytea)",
    "authenticate_session(bytea, interval)",
    "tenants_before(timestamptz, uuid, integer)",
    "find_tenant(uuid)",
    "lock_tenant(uuid)",
    "add_tenant(uuid, text)",
    "set_tenant_disabled(uuid, boolean)",
)


def upgrade() -> None:
    _let_tenants_end()
    _make_external_identities()
    _let_tickets_belong_to_issued_tokens()
    _make_functions_before_a_tenant_is_known()
    _make_functions_of_operators()
    _grant_functions()
    # As in 0014: an administrator's key that had every scope was made to have every scope.
    former = ", ".join(f"'{scope}'" for scope in FORMER_SCOPES)
    op.execute(
        f"""
        UPDATE api_key SET scopes = array_append(api_key.scopes, '{NEW_SCOPE}')
        FROM principal
        WHERE principal.id = api_key.principal_id AND principal.is_admin
          AND api_key.scopes @> ARRAY[{former}]::text[]
          AND NOT '{NEW_SCOPE}' = ANY(api_key.scopes)
        """  # noqa: S608 - constants of this program
    )


def downgrade() -> None:
    op.execute(f"UPDATE api_key SET scopes = array_remove(scopes, '{NEW_SCOPE}')")  # noqa: S608 - a constant
    op.execute("DROP TRIGGER principal_of_disabled_tenant ON principal")
    op.execute("DROP FUNCTION disable_with_tenant()")
    for function in FUNCTIONS:
        op.execute(f"DROP FUNCTION {function}")
    op.execute("DROP FUNCTION operates()")
    # Of a tenant that was disabled the principals are, and stay so: to let nobody in is the safe side.
    # A new administrator (db.bootstrap) lets them in again.
    op.execute(
        """
        ALTER TABLE principal DROP COLUMN disabled_with_tenant;
        ALTER TABLE tenant DROP COLUMN revision;
        ALTER TABLE tenant DROP COLUMN disabled_at;
        ALTER TABLE tenant DROP COLUMN is_operator;
        DELETE FROM bearer_token WHERE kind = 'session';
        DROP FUNCTION use_stream_ticket(bytea);
        DELETE FROM stream_ticket WHERE principal_id IS NOT NULL;
        ALTER TABLE stream_ticket DROP CONSTRAINT stream_ticket_of_one;
        ALTER TABLE stream_ticket DROP COLUMN identity_hash;
        ALTER TABLE stream_ticket DROP COLUMN ends_at;
        ALTER TABLE stream_ticket DROP COLUMN scopes;
        ALTER TABLE stream_ticket DROP COLUMN principal_id;
        """
    )
    op.execute(_use_stream_ticket_of_keys_and_sign_ins())
    # Left as they are, they would be taken for made by hand, and no token would end them. The next token
    # makes them again. Row-level security hides them from their owner.
    op.execute(
        """
        ALTER TABLE group_member NO FORCE ROW LEVEL SECURITY;
        DELETE FROM group_member WHERE from_issuer;
        ALTER TABLE group_member FORCE ROW LEVEL SECURITY;
        ALTER TABLE group_member DROP COLUMN from_issuer;
        """
    )
    op.execute("DROP TABLE external_identity")


def _make_external_identities() -> None:
    op.execute(
        """
        CREATE TABLE external_identity (
            tenant_id UUID NOT NULL,
            identity_hash BYTEA NOT NULL,
            principal_id UUID NOT NULL,
            issuer VARCHAR,
            subject VARCHAR,
            groups_at TIMESTAMP WITH TIME ZONE,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (tenant_id, identity_hash),
            UNIQUE (principal_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_external_identity_tenant_id ON external_identity (tenant_id);
        ALTER TABLE external_identity ENABLE ROW LEVEL SECURITY;
        ALTER TABLE external_identity FORCE ROW LEVEL SECURITY;
        CREATE POLICY definer ON external_identity TO CURRENT_USER USING (true);
        CREATE POLICY tenant_isolation ON external_identity TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        GRANT SELECT, INSERT, UPDATE, DELETE ON external_identity TO muniment_app;

        ALTER TABLE group_member ADD COLUMN from_issuer BOOLEAN NOT NULL DEFAULT false;
        ALTER TABLE group_member ALTER COLUMN from_issuer DROP DEFAULT;
        """
    )


def _let_tickets_belong_to_issued_tokens() -> None:
    """Nothing of an issuer's token is stored: a ticket that was got with one says itself whose it is,
    by which identity, what it may, and when the token ends."""
    op.execute(
        """
        DROP FUNCTION use_stream_ticket(bytea);
        ALTER TABLE stream_ticket ADD COLUMN principal_id UUID
            REFERENCES principal (id) ON DELETE CASCADE;
        ALTER TABLE stream_ticket ADD COLUMN scopes TEXT[];
        ALTER TABLE stream_ticket ADD COLUMN ends_at TIMESTAMP WITH TIME ZONE;
        ALTER TABLE stream_ticket ADD COLUMN identity_hash BYTEA;
        CREATE INDEX ix_stream_ticket_principal_id ON stream_ticket (principal_id);
        ALTER TABLE stream_ticket ADD CONSTRAINT stream_ticket_of_one CHECK (
            num_nonnulls(key_id, sign_in_id, principal_id) = 1
            AND num_nonnulls(principal_id, scopes, ends_at, identity_hash) IN (0, 4)
        );

        CREATE FUNCTION use_stream_ticket(hash bytea)
        RETURNS TABLE (key_id uuid, sign_in_id uuid, tenant_id uuid, principal_id uuid,
            scopes text[], is_admin boolean, ends_at timestamptz, identity_hash bytea)
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            WITH used AS (
                UPDATE stream_ticket SET used_at = now()
                WHERE stream_ticket.ticket_hash = hash
                  AND stream_ticket.used_at IS NULL AND stream_ticket.expires_at > now()
                  AND (stream_ticket.ends_at IS NULL OR stream_ticket.ends_at > now())
                RETURNING stream_ticket.key_id, stream_ticket.sign_in_id,
                    stream_ticket.principal_id, stream_ticket.scopes, stream_ticket.ends_at,
                    stream_ticket.identity_hash
            )
            SELECT api_key.id, sign_in.id, principal.tenant_id, principal.id,
                coalesce(api_key.scopes, used.scopes), principal.is_admin, used.ends_at,
                used.identity_hash
            FROM used
            LEFT JOIN api_key ON api_key.id = used.key_id
                AND api_key.revoked_at IS NULL
                AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
            LEFT JOIN sign_in ON sign_in.id = used.sign_in_id
                AND sign_in.ended_at IS NULL AND sign_in.expires_at > now()
            JOIN principal ON principal.id
                = coalesce(api_key.principal_id, sign_in.principal_id, used.principal_id)
            WHERE principal.disabled_at IS NULL
              AND (used.identity_hash IS NULL OR EXISTS (
                  SELECT FROM external_identity
                  WHERE external_identity.identity_hash = used.identity_hash
                    AND external_identity.principal_id = principal.id
              ))
        $$;
        REVOKE ALL ON FUNCTION use_stream_ticket(bytea) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION use_stream_ticket(bytea) TO muniment_app;
        """
    )


def _use_stream_ticket_of_keys_and_sign_ins() -> str:
    return """
        CREATE FUNCTION use_stream_ticket(hash bytea)
        RETURNS TABLE (key_id uuid, sign_in_id uuid, tenant_id uuid, principal_id uuid,
            scopes text[], is_admin boolean)
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            WITH used AS (
                UPDATE stream_ticket SET used_at = now()
                WHERE stream_ticket.ticket_hash = hash
                  AND stream_ticket.used_at IS NULL AND stream_ticket.expires_at > now()
                RETURNING stream_ticket.key_id, stream_ticket.sign_in_id
            )
            SELECT api_key.id, sign_in.id, principal.tenant_id, principal.id, api_key.scopes,
                principal.is_admin
            FROM used
            LEFT JOIN api_key ON api_key.id = used.key_id
                AND api_key.revoked_at IS NULL
                AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
            LEFT JOIN sign_in ON sign_in.id = used.sign_in_id
                AND sign_in.ended_at IS NULL AND sign_in.expires_at > now()
            JOIN principal ON principal.id = coalesce(api_key.principal_id, sign_in.principal_id)
            WHERE principal.disabled_at IS NULL
        $$;
        REVOKE ALL ON FUNCTION use_stream_ticket(bytea) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION use_stream_ticket(bytea) TO muniment_app;
    """


def _make_functions_before_a_tenant_is_known() -> None:
    """Looked up before the tenant is known, as keys and tokens are."""
    op.execute(
        """
        -- Each use puts the end off, at most once a minute, and never past that of the sign-in.
        CREATE FUNCTION authenticate_session(hash bytea, unused interval)
        RETURNS TABLE (sign_in_id uuid, tenant_id uuid, principal_id uuid, is_admin boolean)
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            UPDATE bearer_token SET expires_at = least(now() + unused, sign_in.expires_at)
            FROM sign_in
            WHERE bearer_token.token_hash = hash AND bearer_token.kind = 'session'
              AND bearer_token.expires_at > now()
              AND sign_in.id = bearer_token.sign_in_id AND sign_in.ended_at IS NULL
              AND bearer_token.expires_at
                  < least(now() + unused, sign_in.expires_at) - interval '1 minute';

            SELECT sign_in.id, sign_in.tenant_id, sign_in.principal_id, principal.is_admin
            FROM bearer_token
            JOIN sign_in ON sign_in.id = bearer_token.sign_in_id
            JOIN principal ON principal.id = sign_in.principal_id
            WHERE bearer_token.token_hash = hash AND bearer_token.kind = 'session'
              AND bearer_token.expires_at > now()
              AND sign_in.ended_at IS NULL AND sign_in.expires_at > now()
              AND principal.disabled_at IS NULL
        $$;

        -- No row: no such tenant, or a disabled one. No principal: nobody has this identity yet.
        CREATE FUNCTION find_external_identity(tenant_name text, hash bytea)
        RETURNS TABLE (tenant_id uuid, principal_id uuid, is_admin boolean, is_disabled boolean,
            groups_at timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT tenant.id, principal.id, principal.is_admin, principal.disabled_at IS NOT NULL,
                external_identity.groups_at
            FROM tenant
            LEFT JOIN external_identity ON external_identity.tenant_id = tenant.id
                AND external_identity.identity_hash = hash
            LEFT JOIN principal ON principal.id = external_identity.principal_id
            WHERE tenant.name = tenant_name AND tenant.disabled_at IS NULL
        $$;
        """
    )


def _let_tenants_end() -> None:
    """Whoever belongs to a disabled tenant is disabled, by the mark that everything asks for anyway,
    and those alone are enabled with it again. The trigger keeps out who would come later."""
    op.execute(
        """
        ALTER TABLE tenant ADD COLUMN is_operator BOOLEAN NOT NULL DEFAULT false;
        ALTER TABLE tenant ADD COLUMN disabled_at TIMESTAMP WITH TIME ZONE;
        ALTER TABLE tenant ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
        ALTER TABLE principal ADD COLUMN disabled_with_tenant BOOLEAN NOT NULL DEFAULT false;
        ALTER TABLE principal ALTER COLUMN disabled_with_tenant DROP DEFAULT;
        ALTER TABLE tenant ALTER COLUMN is_operator DROP DEFAULT;
        ALTER TABLE tenant ALTER COLUMN revision DROP DEFAULT;
        -- Where there are others, the operator says which one of them operates: db.bootstrap.
        UPDATE tenant SET is_operator = true
            WHERE name = 'default' AND (SELECT count(*) FROM tenant) = 1;

        CREATE FUNCTION disable_with_tenant() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        BEGIN
            -- Waits for whoever disables the tenant right now, and has whoever would do so wait; what
            -- came of it only the next statement sees.
            PERFORM FROM tenant WHERE tenant.id = NEW.tenant_id FOR SHARE;
            IF EXISTS (
                SELECT FROM tenant
                WHERE tenant.id = NEW.tenant_id AND tenant.disabled_at IS NOT NULL
            ) THEN
                NEW.disabled_at = now();
                NEW.disabled_with_tenant = true;
            END IF;
            RETURN NEW;
        END
        $$;
        CREATE TRIGGER principal_of_disabled_tenant
            BEFORE INSERT OR UPDATE OF disabled_at ON principal
            FOR EACH ROW WHEN (NEW.disabled_at IS NULL) EXECUTE FUNCTION disable_with_tenant();
        """
    )


def _make_functions_of_operators() -> None:
    """Nobody but an operating tenant's own transaction gets anything from these."""
    op.execute(
        """
        CREATE FUNCTION operates() RETURNS boolean
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT EXISTS (
                SELECT 1 FROM tenant WHERE tenant.id = current_tenant()
                  AND tenant.is_operator AND tenant.disabled_at IS NULL
            )
        $$;

        CREATE FUNCTION tenants_before(before_at timestamptz, before_id uuid, max_rows integer)
        RETURNS SETOF tenant
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT tenant.* FROM tenant
            WHERE operates()
              AND (before_at IS NULL OR (tenant.created_at, tenant.id) < (before_at, before_id))
            ORDER BY tenant.created_at DESC, tenant.id DESC
            LIMIT max_rows
        $$;

        CREATE FUNCTION find_tenant(wanted uuid) RETURNS SETOF tenant
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT tenant.* FROM tenant WHERE operates() AND tenant.id = wanted
        $$;

        CREATE FUNCTION lock_tenant(wanted uuid) RETURNS SETOF tenant
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT tenant.* FROM tenant
            WHERE operates() AND tenant.id = wanted FOR NO KEY UPDATE
        $$;

        -- No row where the name is taken.
        CREATE FUNCTION add_tenant(new_id uuid, new_name text) RETURNS SETOF tenant
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            INSERT INTO tenant (id, name, is_operator, revision, created_at)
            SELECT new_id, new_name, false, 1, now() WHERE operates()
            ON CONFLICT (name) DO NOTHING
            RETURNING *
        $$;

        CREATE FUNCTION set_tenant_disabled(wanted uuid, disabled boolean) RETURNS void
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        BEGIN
            UPDATE tenant
            SET disabled_at = CASE WHEN disabled THEN coalesce(tenant.disabled_at, now()) END,
                revision = tenant.revision + 1
            WHERE tenant.id = wanted AND operates() AND NOT tenant.is_operator;
            IF NOT FOUND THEN
                RETURN;
            END IF;
            IF disabled THEN
                UPDATE principal SET disabled_at = now(), disabled_with_tenant = true
                WHERE principal.tenant_id = wanted AND principal.disabled_at IS NULL;
                UPDATE sign_in SET ended_at = now()
                WHERE sign_in.tenant_id = wanted AND sign_in.ended_at IS NULL;
            ELSE
                UPDATE principal SET disabled_at = NULL, disabled_with_tenant = false
                WHERE principal.tenant_id = wanted AND principal.disabled_with_tenant
                  AND principal.deleted_at IS NULL;
            END IF;
        END
        $$;
        """
    )


def _grant_functions() -> None:
    for function in (*FUNCTIONS, "operates()"):
        op.execute(f"REVOKE ALL ON FUNCTION {function} FROM PUBLIC")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function} TO muniment_app")

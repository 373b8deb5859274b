"""Who there is: principals that are disabled or deleted, one grant for each pair, and people who sign
in with a password."""

from alembic import op

revision = "0014"
down_revision = "0013"
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
)
NEW_SCOPES = ("files:share", "principals:manage")
TENANT_TABLES = ("principal_password", "sign_in", "bearer_token")
IS_ENABLED = "AND principal.disabled_at IS NULL"


def upgrade() -> None:
    _let_principals_end()
    _allow_one_grant_for_each_pair()
    _give_new_scopes_to_whoever_has_all()
    _make_sign_ins()
    _let_tickets_belong_to_sign_ins()
    op.execute(_authenticate_api_key(IS_ENABLED))
    op.execute(_use_stream_ticket())
    _make_functions_across_tenants()


def downgrade() -> None:
    for function in (
        "authenticate_token(bytea, text)",
        "find_password(text, text)",
        "reserve_sign_in(uuid, bytea[], integer[], interval)",
        "fail_sign_in(uuid)",
        "forgive_sign_in(uuid, bytea)",
        "use_stream_ticket(bytea)",
    ):
        op.execute(f"DROP FUNCTION {function}")
    op.execute(_authenticate_api_key(""))
    # Tickets live for a minute; those of sign-ins name no key.
    op.execute("DELETE FROM stream_ticket WHERE key_id IS NULL")
    op.execute("ALTER TABLE stream_ticket DROP COLUMN sign_in_id")
    op.execute("ALTER TABLE stream_ticket ALTER COLUMN key_id SET NOT NULL")
    op.execute(_use_stream_ticket_of_keys())
    for table in ("sign_in_attempt", "bearer_token", "sign_in", "principal_password"):
        op.execute(f"DROP TABLE {table}")
    for scope in NEW_SCOPES:
        op.execute(f"UPDATE api_key SET scopes = array_remove(scopes, '{scope}')")  # noqa: S608 - constants
    op.execute(
        """
        DROP INDEX ix_access_grant_tenant_created;
        ALTER TABLE access_grant DROP CONSTRAINT access_grant_one_of_each;
        ALTER TABLE access_grant DROP CONSTRAINT ux_access_grant_pair;
        DROP INDEX ix_group_member_principal_id;
        ALTER TABLE principal_group DROP COLUMN revision;
        -- Who may not come in stays out: there is nothing else that says so.
        UPDATE api_key SET revoked_at = now() FROM principal
            WHERE principal.id = api_key.principal_id AND principal.disabled_at IS NOT NULL
              AND api_key.revoked_at IS NULL;
        DROP INDEX ux_principal_name;
        ALTER TABLE principal DROP COLUMN deleted_at;
        ALTER TABLE principal DROP COLUMN disabled_at;
        ALTER TABLE principal DROP COLUMN revision;
        ALTER TABLE principal ADD UNIQUE (tenant_id, name);
        """
    )


def _let_principals_end() -> None:
    op.execute(
        """
        ALTER TABLE principal ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
        ALTER TABLE principal ALTER COLUMN revision DROP DEFAULT;
        ALTER TABLE principal ADD COLUMN disabled_at TIMESTAMP WITH TIME ZONE;
        ALTER TABLE principal ADD COLUMN deleted_at TIMESTAMP WITH TIME ZONE;
        -- The name of one that was deleted is free again.
        ALTER TABLE principal DROP CONSTRAINT principal_tenant_id_name_key;
        CREATE UNIQUE INDEX ux_principal_name ON principal (tenant_id, name)
            WHERE deleted_at IS NULL;
        ALTER TABLE principal_group ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;
        ALTER TABLE principal_group ALTER COLUMN revision DROP DEFAULT;
        -- visible_files asks for the groups of a principal.
        CREATE INDEX ix_group_member_principal_id ON group_member (principal_id);
        """
    )


def _allow_one_grant_for_each_pair() -> None:
    """Of several that there may be, the highest is what counted. Row-level security hides them from
    their owner."""
    op.execute(
        """
        ALTER TABLE access_grant NO FORCE ROW LEVEL SECURITY;
        DELETE FROM access_grant WHERE id IN (
            SELECT id FROM (
                SELECT id, row_number() OVER (
                    PARTITION BY tenant_id, principal_id, group_id, file_id, collection_id
                    ORDER BY array_position(ARRAY['read', 'write', 'manage'], level::text) DESC, id
                ) AS place
                FROM access_grant
            ) AS ranked
            WHERE place > 1
        );
        ALTER TABLE access_grant FORCE ROW LEVEL SECURITY;
        ALTER TABLE access_grant ADD CONSTRAINT ux_access_grant_pair
            UNIQUE NULLS NOT DISTINCT
            (tenant_id, principal_id, group_id, file_id, collection_id);
        ALTER TABLE access_grant ADD CONSTRAINT access_grant_one_of_each CHECK (
            num_nonnulls(principal_id, group_id) = 1
            AND num_nonnulls(file_id, collection_id) = 1
        );
        CREATE INDEX ix_access_grant_tenant_created
            ON access_grant (tenant_id, created_at DESC, id DESC);
        """
    )


def _give_new_scopes_to_whoever_has_all() -> None:
    """An administrator's key that had every scope was made to have every scope: that of an embedded
    home is the only way in."""
    former = ", ".join(f"'{scope}'" for scope in FORMER_SCOPES)
    added = ", ".join(f"'{scope}'" for scope in NEW_SCOPES)
    op.execute(
        f"""
        UPDATE api_key SET scopes = api_key.scopes || ARRAY[{added}]::text[]
        FROM principal
        WHERE principal.id = api_key.principal_id AND principal.is_admin
          AND api_key.scopes @> ARRAY[{former}]::text[]
          AND NOT api_key.scopes && ARRAY[{added}]::text[]
        """  # noqa: S608 - constants of this program
    )


def _make_sign_ins() -> None:
    op.execute(
        """
        CREATE TABLE principal_password (
            principal_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            password_hash VARCHAR NOT NULL,
            changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (principal_id),
            FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE,
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_principal_password_tenant_id ON principal_password (tenant_id);

        CREATE TABLE sign_in (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            ended_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(principal_id) REFERENCES principal (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_sign_in_tenant_id ON sign_in (tenant_id);
        CREATE INDEX ix_sign_in_principal_id ON sign_in (principal_id);
        CREATE INDEX ix_sign_in_expires_at ON sign_in (expires_at);

        CREATE TABLE bearer_token (
            token_hash BYTEA NOT NULL,
            tenant_id UUID NOT NULL,
            sign_in_id UUID NOT NULL,
            kind VARCHAR NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            used_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (token_hash),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(sign_in_id) REFERENCES sign_in (id) ON DELETE CASCADE
        );
        CREATE INDEX ix_bearer_token_tenant_id ON bearer_token (tenant_id);
        CREATE INDEX ix_bearer_token_sign_in_id ON bearer_token (sign_in_id);

        -- Of no tenant: the name that was tried may be nobody's.
        CREATE TABLE sign_in_attempt (
            id UUID NOT NULL,
            subject BYTEA NOT NULL,
            at TIMESTAMP WITH TIME ZONE NOT NULL,
            failed BOOLEAN NOT NULL,
            PRIMARY KEY (id, subject)
        );
        CREATE INDEX ix_sign_in_attempt_subject ON sign_in_attempt (subject, at);
        CREATE INDEX ix_sign_in_attempt_at ON sign_in_attempt (at);
        """
    )
    for table in (*TENANT_TABLES, "sign_in_attempt"):
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY definer ON {table} TO CURRENT_USER USING (true)")
    for table in TENANT_TABLES:
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app")


def _let_tickets_belong_to_sign_ins() -> None:
    op.execute(
        """
        DROP FUNCTION use_stream_ticket(bytea);
        ALTER TABLE stream_ticket ALTER COLUMN key_id DROP NOT NULL;
        ALTER TABLE stream_ticket ADD COLUMN sign_in_id UUID
            REFERENCES sign_in (id) ON DELETE CASCADE;
        CREATE INDEX ix_stream_ticket_sign_in_id ON stream_ticket (sign_in_id);
        """
    )


def _authenticate_api_key(also: str) -> str:
    return f"""
        CREATE OR REPLACE FUNCTION authenticate_api_key(hash bytea)
        RETURNS TABLE
            (key_id uuid, tenant_id uuid, principal_id uuid, scopes text[], is_admin boolean)
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            UPDATE api_key SET last_used_at = now()
            WHERE api_key.key_hash = hash
              AND (api_key.last_used_at IS NULL
                   OR api_key.last_used_at < now() - interval '1 minute')
              AND api_key.revoked_at IS NULL;

            SELECT api_key.id, api_key.tenant_id, api_key.principal_id, api_key.scopes,
                principal.is_admin
            FROM api_key JOIN principal ON principal.id = api_key.principal_id
            WHERE api_key.key_hash = hash
              AND api_key.revoked_at IS NULL
              AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
              {also}
        $$
    """  # noqa: S608 - constants of this module


def _use_stream_ticket() -> str:
    """A ticket opens one stream while the key or the sign-in that it came from lives."""
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


def _use_stream_ticket_of_keys() -> str:
    return """
        CREATE FUNCTION use_stream_ticket(hash bytea)
        RETURNS TABLE
            (key_id uuid, tenant_id uuid, principal_id uuid, scopes text[], is_admin boolean)
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            WITH used AS (
                UPDATE stream_ticket SET used_at = now()
                WHERE stream_ticket.ticket_hash = hash
                  AND stream_ticket.used_at IS NULL AND stream_ticket.expires_at > now()
                RETURNING stream_ticket.key_id
            )
            SELECT api_key.id, api_key.tenant_id, api_key.principal_id, api_key.scopes,
                principal.is_admin
            FROM used
            JOIN api_key ON api_key.id = used.key_id
            JOIN principal ON principal.id = api_key.principal_id
            WHERE api_key.revoked_at IS NULL
              AND (api_key.expires_at IS NULL OR api_key.expires_at > now())
        $$;
        REVOKE ALL ON FUNCTION use_stream_ticket(bytea) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION use_stream_ticket(bytea) TO muniment_app;
    """


def _make_functions_across_tenants() -> None:
    """Who signs in has proved nothing yet, so that no tenant is known. A password's hash is all that
    leaves; what an attempt was is known by its hash alone."""
    op.execute(
        """
        CREATE FUNCTION authenticate_token(hash bytea, wanted text)
        RETURNS TABLE (sign_in_id uuid, tenant_id uuid, principal_id uuid, is_admin boolean)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT sign_in.id, sign_in.tenant_id, sign_in.principal_id, principal.is_admin
            FROM bearer_token
            JOIN sign_in ON sign_in.id = bearer_token.sign_in_id
            JOIN principal ON principal.id = sign_in.principal_id
            WHERE bearer_token.token_hash = hash AND bearer_token.kind = wanted
              -- One that was used, shown again, is a copy: that is told however late.
              AND (bearer_token.expires_at > now() OR bearer_token.used_at IS NOT NULL)
              AND sign_in.ended_at IS NULL AND sign_in.expires_at > now()
              AND principal.disabled_at IS NULL
        $$;

        CREATE FUNCTION find_password(tenant_name text, principal_name text)
        RETURNS TABLE
            (tenant_id uuid, principal_id uuid, password_hash text, changed_at timestamptz)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT principal.tenant_id, principal.id, principal_password.password_hash,
                principal_password.changed_at
            FROM tenant
            JOIN principal ON principal.tenant_id = tenant.id
            JOIN principal_password ON principal_password.principal_id = principal.id
            WHERE tenant.name = tenant_name AND principal.name = principal_name
              AND principal.disabled_at IS NULL
        $$;

        -- Null when the attempt may be made, which then counts; else how long to wait. Attempts at one
        -- name or from one address take turns, so that many at once are no more than one by one. What
        -- is still compared counts as well, but keeps others waiting for moments: it may succeed.
        CREATE FUNCTION reserve_sign_in(
            attempt uuid, subjects bytea[], limits integer[], within interval)
        RETURNS interval
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        DECLARE
            waiting interval;
        BEGIN
            PERFORM pg_advisory_xact_lock(hashtextextended(encode(named.subject, 'hex'), 14))
            FROM (SELECT DISTINCT unnest(subjects) AS subject ORDER BY 1) AS named;
            -- Whoever else is at it leaves these alone: nobody waits for another's rows.
            DELETE FROM sign_in_attempt WHERE (sign_in_attempt.id, sign_in_attempt.subject) IN (
                SELECT old.id, old.subject FROM sign_in_attempt AS old
                WHERE old.at < clock_timestamp() - within
                ORDER BY old.at LIMIT 1000 FOR UPDATE SKIP LOCKED
            );
            SELECT max(reached.at) + within - clock_timestamp() INTO waiting
            FROM unnest(subjects, limits) AS named (subject, most)
            CROSS JOIN LATERAL (
                SELECT sign_in_attempt.at FROM sign_in_attempt
                WHERE sign_in_attempt.subject = named.subject
                  AND (sign_in_attempt.failed
                       OR sign_in_attempt.at < clock_timestamp() - interval '5 seconds')
                ORDER BY sign_in_attempt.at DESC OFFSET named.most - 1 LIMIT 1
            ) AS reached;
            IF waiting > interval '0' THEN
                RETURN waiting;
            END IF;
            PERFORM FROM unnest(subjects, limits) AS named (subject, most)
            WHERE named.most <= (
                SELECT count(*) FROM sign_in_attempt
                WHERE sign_in_attempt.subject = named.subject
                  AND sign_in_attempt.at > clock_timestamp() - within
            );
            IF FOUND THEN
                RETURN interval '2 seconds';
            END IF;
            INSERT INTO sign_in_attempt (id, subject, at, failed)
            SELECT attempt, named.subject, clock_timestamp(), false
            FROM (SELECT DISTINCT unnest(subjects) AS subject) AS named;
            RETURN NULL;
        END
        $$;

        CREATE FUNCTION fail_sign_in(attempt uuid) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            UPDATE sign_in_attempt SET failed = true WHERE sign_in_attempt.id = attempt
        $$;

        -- A success takes back its own attempt, and what failed before at its name.
        CREATE FUNCTION forgive_sign_in(attempt uuid, name_subject bytea) RETURNS void
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT pg_advisory_xact_lock(hashtextextended(encode(name_subject, 'hex'), 14));
            DELETE FROM sign_in_attempt
            WHERE sign_in_attempt.id = attempt OR sign_in_attempt.subject = name_subject
        $$;

        REVOKE ALL ON FUNCTION authenticate_token(bytea, text) FROM PUBLIC;
        REVOKE ALL ON FUNCTION find_password(text, text) FROM PUBLIC;
        REVOKE ALL ON FUNCTION reserve_sign_in(uuid, bytea[], integer[], interval) FROM PUBLIC;
        REVOKE ALL ON FUNCTION fail_sign_in(uuid) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION fail_sign_in(uuid) TO muniment_app;
        REVOKE ALL ON FUNCTION forgive_sign_in(uuid, bytea) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION authenticate_token(bytea, text) TO muniment_app;
        GRANT EXECUTE ON FUNCTION find_password(text, text) TO muniment_app;
        GRANT EXECUTE ON FUNCTION reserve_sign_in(uuid, bytea[], integer[], interval)
            TO muniment_app;
        GRANT EXECUTE ON FUNCTION forgive_sign_in(uuid, bytea) TO muniment_app;
        """
    )

"""Retention: policies, locks of files, and when somebody last asked for a file."""

from alembic import op

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

TABLES = {
    # Never deleted: until when something had to be kept, and by whose word, is evidence.
    "retention_policy": "SELECT, INSERT, UPDATE",
    "retention_lock": "SELECT, INSERT, UPDATE",
    "file_access": "SELECT, INSERT, UPDATE, DELETE",
}
SCOPES = ("retention:manage", "retention:bypass")
FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read,webhooks:manage,shares:manage,files:share,"
    "principals:manage,encryption:manage,annotations:write,holds:manage,tenants:manage}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE retention_policy (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            name VARCHAR NOT NULL,
            collection_id UUID,
            media_type VARCHAR,
            label VARCHAR,
            metadata JSONB,
            trigger VARCHAR NOT NULL,
            event_field VARCHAR,
            days INTEGER NOT NULL,
            lock_mode VARCHAR,
            disposition VARCHAR NOT NULL,
            relabel_to VARCHAR,
            revision INTEGER NOT NULL,
            created_by UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            ended_at TIMESTAMP WITH TIME ZONE,
            ended_by UUID,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            CONSTRAINT policy_knows_its_event
                CHECK ((trigger = 'event') = (event_field IS NOT NULL)),
            CONSTRAINT policy_knows_its_label
                CHECK ((disposition = 'relabel') = (relabel_to IS NOT NULL))
        );
        CREATE INDEX ix_retention_policy_tenant_created
            ON retention_policy (tenant_id, created_at DESC, id DESC);

        CREATE TABLE retention_lock (
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            mode VARCHAR NOT NULL,
            retain_until TIMESTAMP WITH TIME ZONE NOT NULL,
            placed_by UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (file_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_retention_lock_tenant_id ON retention_lock (tenant_id);

        CREATE TABLE file_access (
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            accessed_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (file_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_file_access_tenant_id ON file_access (tenant_id);
        """
    )
    for table, rights in TABLES.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(
            f"CREATE POLICY tenant_isolation ON {table} TO muniment_app"
            " USING (tenant_id = (SELECT current_tenant()))"
            " WITH CHECK (tenant_id = (SELECT current_tenant()))"
        )
        op.execute(f"GRANT {rights} ON {table} TO muniment_app")
    op.execute(_EVENT_DATES)
    op.execute(_COMPLIANCE)
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    for scope in SCOPES:
        op.execute(
            f"UPDATE api_key SET scopes = array_append(api_key.scopes, '{scope}')"  # noqa: S608 - constant
            " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
            f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
            f" AND NOT '{scope}' = ANY(api_key.scopes)"
        )


def downgrade() -> None:
    for scope in SCOPES:
        op.execute(f"UPDATE api_key SET scopes = array_remove(scopes, '{scope}')")  # noqa: S608 - constant
    op.execute(
        """
        ALTER TABLE retention_lock NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE retention_policy NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE erasure NO FORCE ROW LEVEL SECURITY;
        DO $$
        BEGIN
            -- The former release knows no locks, and would let anybody delete what they keep.
            IF EXISTS (
                SELECT FROM retention_lock WHERE mode = 'compliance' AND retain_until > now()
                UNION ALL
                SELECT FROM retention_policy WHERE lock_mode = 'compliance'
            ) THEN
                RAISE EXCEPTION 'files are under compliance locks, and would be under none'
                    USING HINT = 'Stay at this release.';
            END IF;
            -- It would carry out what waits for policies and locks.
            IF EXISTS (SELECT FROM erasure WHERE state = 'held')
                AND (EXISTS (SELECT FROM retention_lock) OR EXISTS (SELECT FROM retention_policy))
            THEN
                RAISE EXCEPTION 'erasures are held, and would be carried out'
                    USING HINT = 'Wait until nothing keeps their files, or stay at this release.';
            END IF;
        END
        $$;
        ALTER TABLE erasure FORCE ROW LEVEL SECURITY;
        DROP TABLE file_access;
        DROP TABLE retention_lock;
        DROP TABLE retention_policy;
        DROP FUNCTION refuse_shorter_lock();
        DROP FUNCTION refuse_weaker_policy();
        DROP FUNCTION retention_event(text);
        """
    )


# What a file's metadata say an event's date is: ISO 8601, a day as its beginning in UTC; null for all else.
_EVENT_DATES = r"""
CREATE FUNCTION retention_event(value text) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE AS
$$
    SELECT CASE
        WHEN value ~ '^\d{4}-\d\d-\d\d$' AND pg_input_is_valid(value || ' UTC', 'timestamptz')
            THEN CAST(value || ' UTC' AS timestamptz)
        WHEN value ~ '^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)$'
            AND pg_input_is_valid(value, 'timestamptz')
            THEN CAST(value AS timestamptz)
    END
$$;
"""

# Whoever asks, and whatever the application forgets to ask.
_COMPLIANCE = """
CREATE FUNCTION refuse_shorter_lock() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION 'a compliance lock is only ever made longer';
END
$$;
CREATE TRIGGER compliance_lock_stands BEFORE UPDATE ON retention_lock FOR EACH ROW
    WHEN (
        OLD.mode = 'compliance' AND OLD.retain_until > now()
        AND (NEW.mode <> 'compliance' OR NEW.retain_until < OLD.retain_until
            OR (NEW.file_id, NEW.tenant_id) IS DISTINCT FROM (OLD.file_id, OLD.tenant_id))
    )
    EXECUTE FUNCTION refuse_shorter_lock();

CREATE FUNCTION refuse_weaker_policy() RETURNS trigger LANGUAGE plpgsql AS
$$
BEGIN
    RAISE EXCEPTION 'a policy with compliance locks is only ever made longer';
END
$$;
CREATE TRIGGER compliance_policy_stands BEFORE UPDATE ON retention_policy FOR EACH ROW
    WHEN (
        OLD.lock_mode = 'compliance'
        AND (
            NEW.days < OLD.days OR NEW.ended_at IS NOT NULL
            OR (NEW.id, NEW.tenant_id, NEW.lock_mode, NEW.trigger, NEW.event_field,
                NEW.collection_id, NEW.media_type, NEW.label, NEW.metadata)
            IS DISTINCT FROM
               (OLD.id, OLD.tenant_id, OLD.lock_mode, OLD.trigger, OLD.event_field,
                OLD.collection_id, OLD.media_type, OLD.label, OLD.metadata)
        )
    )
    EXECUTE FUNCTION refuse_weaker_policy();
"""

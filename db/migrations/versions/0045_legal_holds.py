"""Legal holds: matters, what they hold, and who must know of them."""

from alembic import op

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

TABLES = ("legal_hold", "legal_hold_item", "legal_hold_file", "legal_hold_custodian")
FORMER_SCOPES = (
    "{files:read,files:write,files:delete,jobs:read,jobs:write,search,audit:read,metrics:read,"
    "keys:manage,quarantine:decide,payloads:read,webhooks:manage,shares:manage,files:share,"
    "principals:manage,encryption:manage,annotations:write,tenants:manage}"
)


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE legal_hold (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            matter VARCHAR NOT NULL,
            placed_by UUID NOT NULL,
            cooling_off_days INTEGER NOT NULL,
            reminder_days INTEGER NOT NULL,
            review_days INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            started_at TIMESTAMP WITH TIME ZONE,
            reviewed_at TIMESTAMP WITH TIME ZONE NOT NULL,
            released_at TIMESTAMP WITH TIME ZONE,
            released_by UUID,
            cooling_ends_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_legal_hold_tenant_created
            ON legal_hold (tenant_id, created_at DESC, id DESC);
        CREATE INDEX ix_legal_hold_unstarted ON legal_hold (created_at) WHERE started_at IS NULL;

        CREATE TABLE legal_hold_item (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            hold_id UUID NOT NULL,
            kind VARCHAR NOT NULL,
            file_id UUID,
            collection_id UUID,
            terms JSONB,
            added_by UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(hold_id) REFERENCES legal_hold (id)
        );
        CREATE INDEX ix_legal_hold_item_tenant_id ON legal_hold_item (tenant_id);
        CREATE INDEX ix_legal_hold_item_hold_id
            ON legal_hold_item (hold_id, created_at DESC, id DESC);
        CREATE INDEX ix_legal_hold_item_collection_id ON legal_hold_item (collection_id)
            WHERE collection_id IS NOT NULL;

        CREATE TABLE legal_hold_file (
            hold_id UUID NOT NULL,
            file_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            item_id UUID NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (hold_id, file_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(hold_id) REFERENCES legal_hold (id),
            FOREIGN KEY(item_id) REFERENCES legal_hold_item (id)
        );
        CREATE INDEX ix_legal_hold_file_tenant_id ON legal_hold_file (tenant_id);
        CREATE INDEX ix_legal_hold_file_file_id ON legal_hold_file (file_id);
        CREATE INDEX ix_legal_hold_file_item_id ON legal_hold_file (item_id);

        CREATE TABLE legal_hold_custodian (
            hold_id UUID NOT NULL,
            principal_id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            notified_at TIMESTAMP WITH TIME ZONE,
            reminded_at TIMESTAMP WITH TIME ZONE,
            reminders INTEGER NOT NULL,
            acknowledged_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (hold_id, principal_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(hold_id) REFERENCES legal_hold (id)
        );
        CREATE INDEX ix_legal_hold_custodian_tenant_id ON legal_hold_custodian (tenant_id);

        CREATE INDEX ix_erasure_open ON erasure (tenant_id, id)
            WHERE state IN ('executing', 'held');
        -- What a matter's export reads: the events of its files.
        CREATE INDEX ix_audit_event_object ON audit_event (tenant_id, object_id, id);
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
        # Never deleted: what was held, and when, is evidence.
        op.execute(f"GRANT SELECT, INSERT, UPDATE ON {table} TO muniment_app")
    op.execute("CREATE POLICY definer ON legal_hold TO CURRENT_USER USING (true)")
    op.execute(_ACROSS_TENANTS)
    op.execute(_file_trigger("'erasing', 'restricted'"))
    # A key that had every scope, as a home's administrator has, goes on having every scope.
    op.execute(
        "UPDATE api_key SET scopes = array_append(api_key.scopes, 'holds:manage')"  # noqa: S608 - constant
        " FROM principal WHERE principal.id = api_key.principal_id AND principal.is_admin"
        f" AND api_key.scopes @> '{FORMER_SCOPES}'::text[]"
        " AND NOT 'holds:manage' = ANY(api_key.scopes)"
    )


def downgrade() -> None:
    op.execute(_file_trigger("'erasing'"))
    op.execute("UPDATE api_key SET scopes = array_remove(scopes, 'holds:manage')")
    op.execute(
        """
        ALTER TABLE file NO FORCE ROW LEVEL SECURITY;
        ALTER TABLE erasure NO FORCE ROW LEVEL SECURITY;
        DO $$
        BEGIN
            -- The former release knows no holds, and would destroy what they keep.
            IF EXISTS (SELECT FROM erasure WHERE state = 'held') THEN
                RAISE EXCEPTION 'erasures are held by legal holds, and would be carried out'
                    USING HINT = 'Release the holds and let their cooling-off end, or stay at this release.';
            END IF;
        END
        $$;
        UPDATE file SET state = 'erasing' WHERE state = 'restricted';
        UPDATE erasure SET state = 'executing' WHERE state = 'destroying';
        ALTER TABLE erasure FORCE ROW LEVEL SECURITY;
        ALTER TABLE file FORCE ROW LEVEL SECURITY;
        DROP FUNCTION unstarted_legal_holds(interval, integer);
        DROP INDEX ix_audit_event_object;
        DROP INDEX ix_erasure_open;
        DROP TABLE legal_hold_custodian;
        DROP TABLE legal_hold_file;
        DROP TABLE legal_hold_item;
        DROP TABLE legal_hold;
        """
    )


# For the workers' rounds: of every tenant, references only.
_ACROSS_TENANTS = """
CREATE FUNCTION unstarted_legal_holds(min_age interval, max_rows integer)
RETURNS TABLE (tenant_id uuid, hold_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT legal_hold.tenant_id, legal_hold.id
    FROM legal_hold
    WHERE legal_hold.started_at IS NULL AND legal_hold.created_at < now() - min_age
    ORDER BY legal_hold.created_at
    LIMIT max_rows
$$;

REVOKE ALL ON FUNCTION unstarted_legal_holds(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unstarted_legal_holds(interval, integer) TO muniment_app;
"""


def _file_trigger(not_restored: str) -> str:
    """What leaves the trash to be erased, or to wait for that, was not restored."""
    return f"""
        DROP TRIGGER webhook_file ON file;
        CREATE TRIGGER webhook_file AFTER UPDATE ON file FOR EACH ROW
            WHEN (
                OLD.state IS DISTINCT FROM NEW.state
                AND (
                    NEW.state IN (
                        'ready', 'failed', 'cancelled', 'quarantined', 'rejected', 'trashed', 'erased'
                    )
                    OR (OLD.state = 'trashed' AND NEW.state NOT IN ({not_restored}))
                )
            )
            EXECUTE FUNCTION webhook_of_file();
    """

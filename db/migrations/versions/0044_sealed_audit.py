"""The audit trail as a tree of hashes per tenant: what is yet to be sealed, leaves, complete subtrees and
signed checkpoints. Events know the workflow and the address that they come from, and their details can be
erased."""

from alembic import op

revision = "0044"
down_revision = "0042"
branch_labels = None
depends_on = None

TABLES = ("audit_unsealed", "audit_leaf", "audit_subtree", "audit_checkpoint")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE audit_event ADD COLUMN workflow_id VARCHAR, ADD COLUMN origin VARCHAR,
            ALTER COLUMN payload DROP NOT NULL, ALTER COLUMN salt DROP NOT NULL,
            ADD CONSTRAINT details_go_together CHECK ((payload IS NULL) = (salt IS NULL)
                AND (payload IS NOT NULL OR origin IS NULL));

        CREATE INDEX ix_audit_event_tenant_event ON audit_event (tenant_id, id);
        DROP INDEX ix_audit_event_tenant_id;

        CREATE TABLE audit_unsealed (
            tenant_id UUID NOT NULL,
            id UUID NOT NULL,
            queued_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        ) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
                autovacuum_vacuum_cost_delay = 0);
        CREATE TABLE audit_leaf (
            tenant_id UUID NOT NULL,
            seq BIGINT NOT NULL,
            event_id UUID NOT NULL,
            commitment BYTEA NOT NULL,
            hash BYTEA NOT NULL,
            PRIMARY KEY (tenant_id, seq),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE UNIQUE INDEX ix_audit_leaf_event_id ON audit_leaf (tenant_id, event_id);
        CREATE TABLE audit_subtree (
            tenant_id UUID NOT NULL,
            level SMALLINT NOT NULL,
            index BIGINT NOT NULL,
            hash BYTEA NOT NULL,
            PRIMARY KEY (tenant_id, level, index),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE TABLE audit_checkpoint (
            tenant_id UUID NOT NULL,
            size BIGINT NOT NULL,
            root BYTEA NOT NULL,
            note VARCHAR NOT NULL,
            verifier_key VARCHAR NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            copied_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (tenant_id, size),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE INDEX ix_audit_checkpoint_uncopied ON audit_checkpoint (tenant_id, size)
            WHERE copied_at IS NULL;
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
    # Whoever may only add to the trail may neither change nor delete what seals it.
    op.execute(
        """
        REVOKE ALL ON audit_unsealed, audit_leaf, audit_subtree, audit_checkpoint FROM muniment_app;
        GRANT SELECT, DELETE ON audit_unsealed TO muniment_app;
        GRANT SELECT, INSERT ON audit_leaf, audit_subtree, audit_checkpoint TO muniment_app;
        GRANT UPDATE (copied_at) ON audit_checkpoint TO muniment_app;
        """
    )
    op.execute(_FUNCTIONS)
    op.execute("INSERT INTO audit_unsealed (tenant_id, id) SELECT tenant_id, id FROM audit_event")


def downgrade() -> None:
    # What was erased has no details again: the columns want some.
    op.execute(
        """
        DROP TRIGGER audit_event_queued ON audit_event;
        DROP FUNCTION queue_audit_events();
        DROP FUNCTION tenants_with_unsealed_audit(uuid, integer);
        DROP FUNCTION tenants_with_uncopied_audit(uuid, integer);
        DROP FUNCTION unsealed_audit();
        DROP FUNCTION erase_audit_details(uuid[]);
        DROP TABLE audit_checkpoint;
        DROP TABLE audit_subtree;
        DROP TABLE audit_leaf;
        DROP TABLE audit_unsealed;
        CREATE INDEX ix_audit_event_tenant_id ON audit_event (tenant_id);
        DROP INDEX ix_audit_event_tenant_event;
        ALTER TABLE audit_event DROP CONSTRAINT details_go_together;
        UPDATE audit_event SET payload = '{}', salt = '' WHERE payload IS NULL;
        ALTER TABLE audit_event DROP COLUMN workflow_id, DROP COLUMN origin,
            ALTER COLUMN payload SET NOT NULL, ALTER COLUMN salt SET NOT NULL;
        """
    )


_FUNCTIONS = """
-- In the transaction of the act: what is committed is queued, whoever wrote it.
CREATE FUNCTION queue_audit_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    INSERT INTO audit_unsealed (tenant_id, id) SELECT tenant_id, id FROM fresh
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
CREATE TRIGGER audit_event_queued AFTER INSERT ON audit_event
    REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION queue_audit_events();

-- A look into the index for each tenant that has something, however much that is.
CREATE FUNCTION tenants_with_unsealed_audit(after uuid, max_rows integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    WITH RECURSIVE queued AS (
        (SELECT tenant_id FROM audit_unsealed
         WHERE after IS NULL OR tenant_id > after ORDER BY tenant_id LIMIT 1)
        UNION ALL
        (SELECT (SELECT tenant_id FROM audit_unsealed
                 WHERE audit_unsealed.tenant_id > queued.tenant_id ORDER BY tenant_id LIMIT 1)
         FROM queued WHERE queued.tenant_id IS NOT NULL)
    )
    SELECT tenant_id FROM queued WHERE tenant_id IS NOT NULL LIMIT max_rows
$$;

CREATE FUNCTION tenants_with_uncopied_audit(after uuid, max_rows integer) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    WITH RECURSIVE uncopied AS (
        (SELECT tenant_id FROM audit_checkpoint
         WHERE copied_at IS NULL AND (after IS NULL OR tenant_id > after)
         ORDER BY tenant_id LIMIT 1)
        UNION ALL
        (SELECT (SELECT tenant_id FROM audit_checkpoint
                 WHERE copied_at IS NULL AND audit_checkpoint.tenant_id > uncopied.tenant_id
                 ORDER BY tenant_id LIMIT 1)
         FROM uncopied WHERE uncopied.tenant_id IS NOT NULL)
    )
    SELECT tenant_id FROM uncopied WHERE tenant_id IS NOT NULL LIMIT max_rows
$$;

CREATE FUNCTION unsealed_audit() RETURNS TABLE (events bigint, oldest_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$ SELECT count(*), min(queued_at) FROM audit_unsealed $$;

-- Of the caller's tenant, and only what is sealed: the commitment to it is kept then.
CREATE FUNCTION erase_audit_details(event_ids uuid[]) RETURNS bigint
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    WITH erased AS (
        UPDATE audit_event SET payload = NULL, salt = NULL, origin = NULL
        FROM audit_leaf
        WHERE audit_event.id = ANY (event_ids) AND audit_event.tenant_id = current_tenant()
          AND audit_leaf.tenant_id = audit_event.tenant_id
          AND audit_leaf.event_id = audit_event.id AND audit_event.salt IS NOT NULL
        RETURNING 1
    )
    SELECT count(*) FROM erased
$$;

REVOKE ALL ON FUNCTION queue_audit_events() FROM PUBLIC;
REVOKE ALL ON FUNCTION tenants_with_unsealed_audit(uuid, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION tenants_with_uncopied_audit(uuid, integer) FROM PUBLIC;
REVOKE ALL ON FUNCTION unsealed_audit() FROM PUBLIC;
REVOKE ALL ON FUNCTION erase_audit_details(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_unsealed_audit(uuid, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION tenants_with_uncopied_audit(uuid, integer) TO muniment_app;
GRANT EXECUTE ON FUNCTION unsealed_audit() TO muniment_app;
GRANT EXECUTE ON FUNCTION erase_audit_details(uuid[]) TO muniment_app;
"""

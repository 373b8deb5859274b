"""Up to where a tenant's stream of events has gaps. What a tenant keeps is written by the schema's own
functions alone. How many jobs a tenant has open is counted without looking at the others."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

COUNTING = ("count_new_file", "count_erased_file", "count_version")
ADDING = "add_to_usage(uuid, bigint, bigint, bigint)"


def upgrade() -> None:
    _know_of_forgotten_events()
    _guard_usage()
    # How many a tenant has is asked for at each upload.
    op.execute("CREATE INDEX ix_job_tenant_open ON job (tenant_id) WHERE finished_at IS NULL")


def _know_of_forgotten_events() -> None:
    op.execute(
        """
        CREATE TABLE job_event_horizon (
            tenant_id UUID NOT NULL,
            x xid8 NOT NULL,
            event_id BIGINT NOT NULL,
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        -- What was erased before is not known: whoever resumes from before this begins anew, once.
        INSERT INTO job_event_horizon (tenant_id, x, event_id)
        SELECT id, pg_current_xact_id(), 0 FROM tenant;

        ALTER TABLE job_event_horizon ENABLE ROW LEVEL SECURITY;
        ALTER TABLE job_event_horizon FORCE ROW LEVEL SECURITY;
        CREATE POLICY tenant_isolation ON job_event_horizon TO muniment_app
            USING (tenant_id = (SELECT current_tenant()))
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        CREATE POLICY definer ON job_event_horizon TO CURRENT_USER USING (true);
        GRANT SELECT ON job_event_horizon TO muniment_app;

        -- The last thing that a transaction does which erases events: it locks nothing after this row,
        -- so that two erasures only take turns.
        CREATE FUNCTION note_forgotten_events() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        BEGIN
            INSERT INTO job_event_horizon AS horizon (tenant_id, x, event_id)
            SELECT DISTINCT ON (gone.tenant_id) gone.tenant_id, gone.x, gone.id
            FROM gone ORDER BY gone.tenant_id, gone.x DESC, gone.id DESC
            ON CONFLICT (tenant_id) DO UPDATE SET x = excluded.x, event_id = excluded.event_id
            WHERE (horizon.x, horizon.event_id) < (excluded.x, excluded.event_id);
            RETURN NULL;
        END
        $$;
        REVOKE ALL ON FUNCTION note_forgotten_events() FROM PUBLIC;
        CREATE TRIGGER job_event_forgotten AFTER DELETE ON job_event
            REFERENCING OLD TABLE AS gone
            FOR EACH STATEMENT EXECUTE FUNCTION note_forgotten_events();
        """
    )


def _guard_usage() -> None:
    for function in COUNTING:
        op.execute(
            f"ALTER FUNCTION {function}() SECURITY DEFINER SET search_path = public, pg_temp"
        )
        # Else a trigger on a temporary table of anybody's would count what they like.
        op.execute(f"REVOKE ALL ON FUNCTION {function}() FROM PUBLIC")
    op.execute(f"REVOKE ALL ON FUNCTION {ADDING} FROM PUBLIC")
    op.execute(
        """
        REVOKE INSERT, UPDATE ON tenant_usage FROM muniment_app;

        -- What is erased and what is counted anew is summed as the owner, of one tenant at a time.
        CREATE POLICY definer ON file FOR SELECT TO CURRENT_USER
            USING (tenant_id = (SELECT current_tenant()));
        CREATE POLICY definer ON file_version FOR SELECT TO CURRENT_USER
            USING (tenant_id = (SELECT current_tenant()));

        -- Locks the tenant's row and changes nothing.
        CREATE FUNCTION take_usage_turn() RETURNS SETOF tenant_usage
        LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            INSERT INTO tenant_usage AS usage (tenant_id, bytes, files, pages)
            VALUES (current_tenant(), 0, 0, 0)
            ON CONFLICT (tenant_id) DO UPDATE SET bytes = usage.bytes
            RETURNING usage.*
        $$;
        REVOKE ALL ON FUNCTION take_usage_turn() FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION take_usage_turn() TO muniment_app;
        """
    )


def downgrade() -> None:
    op.execute(
        """
        DROP INDEX ix_job_tenant_open;
        DROP FUNCTION take_usage_turn();
        DROP POLICY definer ON file_version;
        DROP POLICY definer ON file;
        GRANT INSERT, UPDATE ON tenant_usage TO muniment_app;
        """
    )
    for function in COUNTING:
        op.execute(f"ALTER FUNCTION {function}() SECURITY INVOKER RESET search_path")
        op.execute(f"GRANT EXECUTE ON FUNCTION {function}() TO PUBLIC")
    op.execute(f"GRANT EXECUTE ON FUNCTION {ADDING} TO PUBLIC")
    op.execute(
        """
        DROP TRIGGER job_event_forgotten ON job_event;
        DROP FUNCTION note_forgotten_events();
        DROP TABLE job_event_horizon;
        """
    )

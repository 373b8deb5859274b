"""Up to where a tenant's stream of events has gaps. What a tenant keeps is written by the schema's own
functions alone. How many jobs
and batches a tenant has open is counted without looking at the others."""

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
    op.execute("CREATE INDEX ix_batch_tenant_open ON batch (tenant_id) WHERE finished_at IS NULL")


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
    _give_back_once()


def _give_back_once() -> None:
    """The count is always what the rows come to that are not erased, whoever changes them."""
    op.execute(
        """
        CREATE FUNCTION count_revived_file() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        DECLARE
            its_bytes bigint;
            its_pages bigint;
        BEGIN
            SELECT coalesce(sum(size), 0), coalesce(sum(counted_pages), 0)
            INTO its_bytes, its_pages
            FROM file_version WHERE file_id = NEW.id;
            PERFORM add_to_usage(NEW.tenant_id, its_bytes, 1, its_pages);
            RETURN NULL;
        END
        $$;
        REVOKE ALL ON FUNCTION count_revived_file() FROM PUBLIC;
        -- Else whoever erases it again would give back what others keep.
        CREATE TRIGGER file_revived AFTER UPDATE OF state ON file
            FOR EACH ROW WHEN (OLD.state = 'erased' AND NEW.state <> 'erased')
            EXECUTE FUNCTION count_revived_file();

        CREATE OR REPLACE FUNCTION count_version() RETURNS trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        BEGIN
            -- What an erased file had was given back.
            IF EXISTS (SELECT FROM file WHERE id = NEW.file_id AND state = 'erased') THEN
                RETURN NULL;
            END IF;
            IF TG_OP = 'INSERT' THEN
                PERFORM add_to_usage(NEW.tenant_id, NEW.size, 0, NEW.counted_pages);
            ELSE
                PERFORM add_to_usage(NEW.tenant_id, 0, 0, NEW.counted_pages - OLD.counted_pages);
            END IF;
            RETURN NULL;
        END
        $$;

        CREATE FUNCTION refuse_another_count() RETURNS trigger LANGUAGE plpgsql AS
        $$
        BEGIN
            RAISE EXCEPTION 'a version keeps its size and its file'
                USING ERRCODE = 'integrity_constraint_violation';
        END
        $$;
        CREATE TRIGGER version_stays_as_counted
            BEFORE UPDATE OF size, file_id, tenant_id ON file_version FOR EACH ROW
            WHEN ((OLD.size, OLD.file_id, OLD.tenant_id)
                  IS DISTINCT FROM (NEW.size, NEW.file_id, NEW.tenant_id))
            EXECUTE FUNCTION refuse_another_count();
        ALTER TABLE file_version ADD CONSTRAINT file_version_counts_upwards
            CHECK (size >= 0 AND counted_pages >= 0);
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER TABLE file_version DROP CONSTRAINT file_version_counts_upwards;
        DROP TRIGGER version_stays_as_counted ON file_version;
        DROP FUNCTION refuse_another_count();
        DROP TRIGGER file_revived ON file;
        DROP FUNCTION count_revived_file();
        CREATE OR REPLACE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS
        $$
        BEGIN
            IF TG_OP = 'INSERT' THEN
                PERFORM add_to_usage(NEW.tenant_id, NEW.size, 0, NEW.counted_pages);
            ELSE
                PERFORM add_to_usage(NEW.tenant_id, 0, 0, NEW.counted_pages - OLD.counted_pages);
            END IF;
            RETURN NULL;
        END
        $$;
        DROP INDEX ix_batch_tenant_open;
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

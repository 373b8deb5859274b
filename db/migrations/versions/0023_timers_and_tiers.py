"""Until when each tenant's expiry of uploads sleeps. What goes to the cold tier by itself, as a tenant or a
collection has it."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

TABLES = ("upload_timer", "tier_policy")


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE upload_timer (
            tenant_id UUID NOT NULL,
            due_at TIMESTAMP WITH TIME ZONE NOT NULL,
            set_at TIMESTAMP WITH TIME ZONE,
            asked_at TIMESTAMP WITH TIME ZONE,
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );

        CREATE TABLE tier_policy (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            collection_id UUID,
            after_days DOUBLE PRECISION,
            min_bytes BIGINT NOT NULL,
            revision INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id),
            FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE,
            CONSTRAINT ux_tier_policy_of UNIQUE NULLS NOT DISTINCT (tenant_id, collection_id)
        );
        CREATE INDEX ix_tier_policy_collection_id ON tier_policy (collection_id);
        """
    )
    for table in TABLES:
        op.execute(
            f"""
            ALTER TABLE {table} ENABLE ROW LEVEL SECURITY;
            ALTER TABLE {table} FORCE ROW LEVEL SECURITY;
            CREATE POLICY tenant_isolation ON {table} TO muniment_app
                USING (tenant_id = (SELECT current_tenant()))
                WITH CHECK (tenant_id = (SELECT current_tenant()));
            GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO muniment_app;
            """
        )
    op.execute(
        """
        CREATE POLICY definer ON upload_timer TO CURRENT_USER USING (true);

        -- Uploads that are under way have their timers, too.
        INSERT INTO upload_timer (tenant_id, due_at)
            SELECT tenant_id, min(expires_at) FROM upload WHERE closed_at IS NULL GROUP BY tenant_id;

        -- For the workers: of every tenant, those whose timer Temporal does not know of, or which is
        -- late, and which nobody asked for just now.
        CREATE FUNCTION unset_upload_timers(overdue interval, anew interval, max_rows integer)
        RETURNS TABLE (tenant_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT timer.tenant_id
            FROM upload_timer timer
            WHERE (timer.set_at IS NULL OR timer.due_at < now() - overdue)
              AND (timer.asked_at IS NULL OR timer.asked_at < now() - anew)
            ORDER BY timer.asked_at NULLS FIRST, timer.due_at
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION unset_upload_timers(interval, interval, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION unset_upload_timers(interval, interval, integer) TO muniment_app;

        DROP FUNCTION spent_uploads(interval, uuid, integer);
        -- For the worker that clears them away: of every tenant, uploads that ran out of time so long
        -- ago that their workflow should have ended them, that ended and still have parts, or that
        -- ended so long ago that nobody asks for them.
        CREATE FUNCTION spent_uploads(
            kept_for interval, overdue interval, after_upload uuid, max_rows integer
        )
        RETURNS TABLE (tenant_id uuid, upload_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT upload.tenant_id, upload.id
            FROM upload
            WHERE (
                (upload.closed_at IS NULL AND upload.expires_at < now() - overdue)
                OR upload.closed_at < now() - kept_for
                OR (upload.closed_at IS NOT NULL AND upload.parts > 0)
              )
              AND (after_upload IS NULL OR upload.id > after_upload)
            ORDER BY upload.id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION spent_uploads(interval, interval, uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION spent_uploads(interval, interval, uuid, integer) TO muniment_app;
        """
    )


def downgrade() -> None:
    # The code of before ends uploads in rounds, and needs no timers.
    op.execute(
        """
        DROP FUNCTION spent_uploads(interval, interval, uuid, integer);
        CREATE FUNCTION spent_uploads(kept_for interval, after_upload uuid, max_rows integer)
        RETURNS TABLE (tenant_id uuid, upload_id uuid)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT upload.tenant_id, upload.id
            FROM upload
            WHERE (
                (upload.closed_at IS NULL AND upload.expires_at < now())
                OR upload.closed_at < now() - kept_for
                OR (upload.closed_at IS NOT NULL AND upload.parts > 0)
              )
              AND (after_upload IS NULL OR upload.id > after_upload)
            ORDER BY upload.id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION spent_uploads(interval, uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION spent_uploads(interval, uuid, integer) TO muniment_app;

        DROP FUNCTION unset_upload_timers(interval, interval, integer);
        DROP TABLE upload_timer;
        DROP TABLE tier_policy;
        """
    )

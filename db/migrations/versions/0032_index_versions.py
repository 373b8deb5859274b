"""Index versions that are built beside the one that is searched: how far each has come, what was measured
of it, and until when the former one is kept."""

from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE index_version
            ADD COLUMN activation VARCHAR NOT NULL DEFAULT 'manual',
            ADD COLUMN outcome VARCHAR,
            ADD COLUMN is_paused BOOLEAN NOT NULL DEFAULT false,
            ADD COLUMN passages_total BIGINT NOT NULL DEFAULT 0,
            ADD COLUMN passages_done BIGINT NOT NULL DEFAULT 0,
            ADD COLUMN filled_until BYTEA NOT NULL DEFAULT '',
            ADD COLUMN evaluation JSONB,
            ADD COLUMN started_at TIMESTAMPTZ,
            ADD COLUMN retire_at TIMESTAMPTZ,
            ADD COLUMN emptied_at TIMESTAMPTZ;
        -- One at a time comes after the one that is searched.
        CREATE UNIQUE INDEX index_version_next ON index_version (tenant_id)
            WHERE state IN ('building', 'ready');
        CREATE INDEX ix_index_version_tenant_created
            ON index_version (tenant_id, created_at DESC, id DESC);
        -- A tenant has vectors of several: those of one are counted and deleted.
        CREATE INDEX ix_embedding_index_version_id ON embedding (index_version_id);
        """
    )
    op.execute(_FUNCTIONS)


def downgrade() -> None:
    # The code of before publishes into the active one alone: the others would be no longer whole.
    op.execute(
        """
        DROP FUNCTION count_missing_graphs();
        DROP FUNCTION drop_vector_graph(uuid);
        DROP FUNCTION spent_index_versions(uuid, integer);
        DROP FUNCTION unstarted_index_versions(interval, integer);
        DROP INDEX ix_embedding_index_version_id;
        DROP INDEX ix_index_version_tenant_created;
        DROP INDEX index_version_next;
        ALTER TABLE embedding NO FORCE ROW LEVEL SECURITY;
        UPDATE index_version SET state = 'retired' WHERE state <> 'active';
        -- Nothing of before drops them, and every statement on vectors opens each.
        DO $$
        DECLARE
            graph text;
        BEGIN
            FOR graph IN SELECT 'embedding_graph_' || replace(id::text, '-', '')
                         FROM index_version WHERE state = 'retired'
            LOOP
                EXECUTE format('DROP INDEX IF EXISTS %I', graph);
            END LOOP;
        END
        $$;
        DELETE FROM embedding USING index_version
            WHERE index_version.id = embedding.index_version_id AND state = 'retired';
        ALTER TABLE embedding FORCE ROW LEVEL SECURITY;
        """
    )
    # A statement of its own: the deletion's triggers have to be over.
    op.execute(
        """
        ALTER TABLE index_version
            DROP COLUMN emptied_at,
            DROP COLUMN retire_at,
            DROP COLUMN started_at,
            DROP COLUMN evaluation,
            DROP COLUMN filled_until,
            DROP COLUMN passages_done,
            DROP COLUMN passages_total,
            DROP COLUMN is_paused,
            DROP COLUMN outcome,
            DROP COLUMN activation;
        """
    )


_FUNCTIONS = """
CREATE FUNCTION unstarted_index_versions(min_age interval, max_rows integer)
RETURNS TABLE (tenant_id uuid, index_version_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT index_version.tenant_id, index_version.id
    FROM index_version
    -- Again after some minutes: its workflow may be lost; one that is at work is only told to look.
    WHERE index_version.created_at < now() - min_age
      AND (index_version.started_at IS NULL
           OR index_version.started_at < now() - interval '10 minutes')
      AND (index_version.state = 'building' AND NOT index_version.is_paused
           OR index_version.state = 'ready'
              AND (index_version.evaluation IS NULL OR index_version.activation = 'automatic'))
    ORDER BY coalesce(index_version.started_at, index_version.created_at)
    LIMIT max_rows
$$;
REVOKE ALL ON FUNCTION unstarted_index_versions(interval, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unstarted_index_versions(interval, integer) TO muniment_app;

CREATE FUNCTION spent_index_versions(after uuid, max_rows integer)
RETURNS TABLE (tenant_id uuid, index_version_id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT index_version.tenant_id, index_version.id
    FROM index_version
    WHERE index_version.emptied_at IS NULL
      AND (index_version.state = 'retired'
           OR (index_version.state = 'superseded' AND index_version.retire_at < now()))
      AND (after IS NULL OR index_version.id > after)
    ORDER BY index_version.id
    LIMIT max_rows
$$;
REVOKE ALL ON FUNCTION spent_index_versions(uuid, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION spent_index_versions(uuid, integer) TO muniment_app;

-- Of the current tenant's own that is retired, and of nothing else: an index belongs to its table's owner.
CREATE FUNCTION drop_vector_graph(wanted uuid) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
BEGIN
    IF EXISTS (SELECT FROM index_version
               WHERE id = wanted AND tenant_id = current_tenant() AND state = 'retired')
    THEN
        EXECUTE format('DROP INDEX IF EXISTS %I',
            'embedding_graph_' || replace(wanted::text, '-', ''));
    END IF;
END
$$;
REVOKE ALL ON FUNCTION drop_vector_graph(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_vector_graph(uuid) TO muniment_app;

-- Of all tenants, a figure only. Those for which a publication set about making one, a while ago: nothing is
-- counted here, since this is asked every few seconds.
CREATE FUNCTION count_missing_graphs() RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
$$
    SELECT count(*) FROM index_version
    WHERE state <> 'retired' AND graph_tried_at < now() - interval '1 minute'
      AND NOT has_vector_graph(id)
$$;
REVOKE ALL ON FUNCTION count_missing_graphs() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_missing_graphs() TO muniment_app;
"""

"""Index versions of other models than the packaged one, and a graph (HNSW) over each that is large.

`embedding.vector` has the dimensions of its index version, which a foreign key sees to. A graph covers
one index version, so neither its time nor what it finds depends on other tenants. Only the table's owner
can make one; `make_vector_graph` makes it for the application, of the current tenant's own and nothing
else. Of those that are large already the migration only tells: a graph over a million takes minutes, and
what is killed meanwhile would begin anew with each start (`python -m db.vector_graphs`).
"""

import sys

import sqlalchemy
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE POLICY definer ON index_version TO CURRENT_USER USING (true) WITH CHECK (true);
        -- For whoever counts vectors as the owner, and for the check of the foreign key below.
        CREATE POLICY definer ON embedding FOR SELECT TO CURRENT_USER USING (true);

        ALTER TABLE index_version
            ADD COLUMN graph_tried_at TIMESTAMPTZ,
            ADD UNIQUE (id, dimensions);
        CREATE UNIQUE INDEX index_version_active ON index_version (tenant_id)
            WHERE state = 'active';

        ALTER TABLE embedding
            ALTER COLUMN vector TYPE halfvec,
            ADD COLUMN dimensions INTEGER GENERATED ALWAYS AS (vector_dims(vector)) STORED,
            DROP CONSTRAINT embedding_index_version_id_fkey,
            ADD CONSTRAINT embedding_index_version_id_dimensions_fkey
                FOREIGN KEY (index_version_id, dimensions)
                REFERENCES index_version (id, dimensions),
            -- Vectors tell of their texts: erased ones do not lie until a fifth of all are dead.
            SET (autovacuum_vacuum_scale_factor = 0.02);
        """
    )
    op.execute(
        """
        -- As PostgreSQL's catalogue has it: one that was lost, or came half, is none.
        CREATE FUNCTION has_vector_graph(wanted uuid) RETURNS boolean
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS
        $$
            SELECT EXISTS (
                SELECT FROM pg_catalog.pg_index
                WHERE indisvalid AND indexrelid = to_regclass(
                    'public.embedding_graph_' || replace(wanted::text, '-', '')))
        $$;

        CREATE FUNCTION make_vector_graph(wanted uuid) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        DECLARE
            name text := 'embedding_graph_' || replace(wanted::text, '-', '');
            width integer;
        BEGIN
            -- One at a time; whoever waited finds it made.
            SELECT dimensions INTO width FROM index_version
            WHERE id = wanted AND tenant_id = current_tenant() AND state <> 'retired'
            FOR NO KEY UPDATE;
            IF NOT FOUND
                -- Also one that is not valid: it is being made beside us, or the owner drops it.
                OR to_regclass('public.' || name) IS NOT NULL
                -- Every statement on `embedding`, of any tenant, opens and locks every one.
                OR (SELECT count(*) FROM pg_catalog.pg_index JOIN pg_catalog.pg_class
                        ON pg_class.oid = indexrelid
                    WHERE indrelid = 'public.embedding'::regclass
                        AND relname LIKE 'embedding\\_graph\\_%') >= 100
            THEN
                RETURN false;
            END IF;
            EXECUTE format(
                'CREATE INDEX %I ON embedding'
                ' USING hnsw ((vector::halfvec(%s)) halfvec_cosine_ops)'
                ' WITH (m = 24, ef_construction = 200)'
                ' WHERE index_version_id = %L',
                name, width, wanted);
            RETURN true;
        END
        $$;
        REVOKE ALL ON FUNCTION make_vector_graph(uuid) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION make_vector_graph(uuid) TO muniment_app;
        """
    )
    _tell_of_large_ones()


def _tell_of_large_ones() -> None:
    count = op.get_bind().scalar(
        sqlalchemy.text(
            "SELECT count(*) FROM (SELECT FROM embedding GROUP BY index_version_id"
            " HAVING count(*) >= 10000) AS large"
        )
    )
    if count:
        sys.stderr.write(
            f"{count} large index versions have no graph: searches by meaning measure every passage"
            " until `python -m db.vector_graphs` has been run (docs/vectors.md).\n"
        )


def downgrade() -> None:
    # The code of before searches 384 dimensions, and knows one index version of a tenant.
    op.execute(
        """
        DROP FUNCTION make_vector_graph(uuid);
        DROP FUNCTION has_vector_graph(uuid);
        DO $$
        DECLARE
            graph text;
        BEGIN
            FOR graph IN
                SELECT indexname FROM pg_indexes
                WHERE schemaname = 'public' AND indexname LIKE 'embedding\\_graph\\_%'
            LOOP
                EXECUTE format('DROP INDEX %I', graph);
            END LOOP;
        END $$;
        ALTER TABLE embedding NO FORCE ROW LEVEL SECURITY;
        DELETE FROM embedding WHERE dimensions <> 384;
        ALTER TABLE embedding FORCE ROW LEVEL SECURITY;
        """
    )
    op.execute(
        """
        ALTER TABLE embedding
            RESET (autovacuum_vacuum_scale_factor),
            DROP CONSTRAINT embedding_index_version_id_dimensions_fkey,
            ADD CONSTRAINT embedding_index_version_id_fkey
                FOREIGN KEY (index_version_id) REFERENCES index_version (id),
            DROP COLUMN dimensions,
            ALTER COLUMN vector TYPE halfvec(384);
        ALTER TABLE index_version
            DROP CONSTRAINT index_version_id_dimensions_key, DROP COLUMN graph_tried_at;
        DROP INDEX index_version_active;
        DROP POLICY definer ON embedding;
        DROP POLICY definer ON index_version;
        """
    )

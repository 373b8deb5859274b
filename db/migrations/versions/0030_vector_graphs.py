"""Index versions of other models than the packaged one, and a graph (HNSW) over each that is large.

`embedding.vector` has the dimensions of its index version, which a foreign key sees to. A graph covers
one index version, so neither its time nor what it finds depends on other tenants. Only the table's owner
can make one; `make_vector_graph` makes it for the application, of the current tenant's own and nothing
else.
"""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE index_version
            ADD COLUMN has_graph BOOLEAN NOT NULL DEFAULT false,
            ADD UNIQUE (id, dimensions);

        ALTER TABLE embedding
            ALTER COLUMN vector TYPE halfvec,
            ADD COLUMN dimensions INTEGER GENERATED ALWAYS AS (vector_dims(vector)) STORED,
            DROP CONSTRAINT embedding_index_version_id_fkey,
            ADD CONSTRAINT embedding_index_version_id_dimensions_fkey
                FOREIGN KEY (index_version_id, dimensions)
                REFERENCES index_version (id, dimensions);

        CREATE POLICY definer ON index_version TO CURRENT_USER USING (true) WITH CHECK (true);
        """
    )
    op.execute(
        """
        CREATE FUNCTION make_vector_graph(wanted uuid) RETURNS boolean
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
        DECLARE
            known record;
        BEGIN
            -- One at a time; whoever waited finds it made.
            SELECT dimensions, has_graph INTO known FROM index_version
            WHERE id = wanted AND tenant_id = current_tenant() FOR NO KEY UPDATE;
            IF NOT FOUND OR known.has_graph THEN
                RETURN false;
            END IF;
            EXECUTE format(
                'CREATE INDEX %I ON embedding'
                ' USING hnsw ((vector::halfvec(%s)) halfvec_cosine_ops)'
                ' WITH (m = 24, ef_construction = 200)'
                ' WHERE index_version_id = %L',
                'embedding_graph_' || replace(wanted::text, '-', ''), known.dimensions, wanted);
            UPDATE index_version SET has_graph = true WHERE id = wanted;
            RETURN true;
        END
        $$;
        REVOKE ALL ON FUNCTION make_vector_graph(uuid) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION make_vector_graph(uuid) TO muniment_app;
        """
    )
    _cover_large_ones()


def _cover_large_ones() -> None:
    """While nobody is served: made later, a graph over so many holds up publications for minutes. The
    owner may see no row otherwise."""
    op.execute(
        """
        ALTER TABLE embedding NO FORCE ROW LEVEL SECURITY;
        DO $$
        DECLARE
            -- Beforehand: a table that a loop still reads gets no index.
            large uuid[] := ARRAY(
                SELECT index_version_id FROM embedding
                GROUP BY index_version_id HAVING count(*) >= 10000);
            wanted uuid;
        BEGIN
            FOREACH wanted IN ARRAY large LOOP
                PERFORM set_config('app.tenant', tenant_id::text, true)
                FROM index_version WHERE id = wanted;
                PERFORM make_vector_graph(wanted);
            END LOOP;
            PERFORM set_config('app.tenant', '', true);
        END $$;
        ALTER TABLE embedding FORCE ROW LEVEL SECURITY;
        """
    )


def downgrade() -> None:
    # The code of before searches 384 dimensions, and knows one index version of a tenant.
    op.execute(
        """
        DROP FUNCTION make_vector_graph(uuid);
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
        DROP POLICY definer ON index_version;
        ALTER TABLE embedding
            DROP CONSTRAINT embedding_index_version_id_dimensions_fkey,
            ADD CONSTRAINT embedding_index_version_id_fkey
                FOREIGN KEY (index_version_id) REFERENCES index_version (id),
            DROP COLUMN dimensions,
            ALTER COLUMN vector TYPE halfvec(384);
        ALTER TABLE index_version
            DROP CONSTRAINT index_version_id_dimensions_key, DROP COLUMN has_graph;
        """
    )

"""Answers and searches that are told again, and the count of what changed in a tenant since.

`corpus_epoch` counts, for each tenant, the transactions that may have changed what a search finds. Triggers
count, so that nothing that writes can forget to. A transaction adds one to a row of the tenant that no other
has locked, or to a new one: nobody waits for anybody, and there are as many rows as transactions that were
once at work at a time. The sum is the epoch: whoever sees what a transaction changed sees it counted.

`cached_response` is not in PostgreSQL's log: standbys and copies of its files have nothing of it, and it is
empty after a crash.
"""

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

TABLES = ("corpus_epoch", "cached_response")

COUNTED = {
    # Only what is `ready` is found. One that becomes so, or is no longer, changes with this row.
    "file": (
        "AFTER INSERT ON file FOR EACH ROW WHEN (NEW.state = 'ready')",
        "AFTER UPDATE ON file FOR EACH ROW WHEN"
        " ((OLD.state = 'ready' OR NEW.state = 'ready') AND OLD.* IS DISTINCT FROM NEW.*)",
        "AFTER DELETE ON file FOR EACH ROW WHEN (OLD.state = 'ready')",
    ),
    "collection": ("AFTER INSERT OR UPDATE OR DELETE ON collection FOR EACH ROW",),
    "access_grant": ("AFTER INSERT OR UPDATE OR DELETE ON access_grant FOR EACH ROW",),
    "group_member": ("AFTER INSERT OR UPDATE OR DELETE ON group_member FOR EACH ROW",),
    "principal": (
        "AFTER UPDATE OF is_admin, disabled_at ON principal FOR EACH ROW WHEN ("
        "(OLD.is_admin, OLD.disabled_at) IS DISTINCT FROM (NEW.is_admin, NEW.disabled_at))",
    ),
    "synonym": ("AFTER INSERT OR UPDATE OR DELETE ON synonym FOR EACH ROW",),
    "index_version": (
        "AFTER INSERT ON index_version FOR EACH ROW WHEN (NEW.state = 'active')",
        "AFTER UPDATE OF state ON index_version FOR EACH ROW WHEN"
        " ((OLD.state = 'active' OR NEW.state = 'active') AND OLD.state <> NEW.state)",
    ),
    # How much there is, by which words are weighed. Merging renumbers, and changes none of these.
    "lexical_document": (
        "AFTER INSERT OR DELETE OR UPDATE OF language, passages, terms ON lexical_document"
        " FOR EACH ROW",
    ),
}


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE corpus_epoch (
            tenant_id UUID NOT NULL,
            id UUID NOT NULL,
            changes BIGINT NOT NULL,
            PRIMARY KEY (tenant_id, id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        -- Each change is another version of a row, in the page where it stands.
        ALTER TABLE corpus_epoch SET (fillfactor = 50);

        CREATE UNLOGGED TABLE cached_response (
            id UUID NOT NULL,
            tenant_id UUID NOT NULL,
            kind VARCHAR NOT NULL,
            key BYTEA NOT NULL,
            epoch BIGINT NOT NULL,
            file_ids UUID[] NOT NULL,
            sealed BYTEA NOT NULL,
            size INTEGER NOT NULL,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL,
            expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE UNIQUE INDEX ux_cached_response_key ON cached_response (tenant_id, key);
        -- Sealed: there is nothing to compress.
        ALTER TABLE cached_response ALTER COLUMN sealed SET STORAGE EXTERNAL;

        ALTER TABLE asked_query ADD COLUMN is_cached BOOLEAN NOT NULL DEFAULT false;
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
        granted = "SELECT" if table == "corpus_epoch" else "SELECT, INSERT, UPDATE, DELETE"
        op.execute(f"GRANT {granted} ON {table} TO muniment_app")
    op.execute(_COUNTING)
    for table, events in COUNTED.items():
        for place, event in enumerate(events):
            op.execute(
                f"CREATE TRIGGER corpus_changes_{table}_{place} {event}"
                " EXECUTE FUNCTION count_corpus_change()"
            )


def downgrade() -> None:
    for table, events in COUNTED.items():
        for place in range(len(events)):
            op.execute(f"DROP TRIGGER corpus_changes_{table}_{place} ON {table}")
    op.execute("DROP FUNCTION count_corpus_change()")
    op.execute("ALTER TABLE asked_query DROP COLUMN is_cached")
    for table in reversed(TABLES):
        op.execute(f"DROP TABLE {table}")


_COUNTING = """
-- For the function below, where the owner is no superuser.
CREATE POLICY definer ON corpus_epoch TO CURRENT_USER USING (true) WITH CHECK (true);

-- As its owner: whoever changes a tenant from outside of it counts too, and nobody counts otherwise.
CREATE FUNCTION count_corpus_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS
$$
DECLARE
    of_tenant uuid;
    free uuid;
BEGIN
    IF TG_OP = 'DELETE' THEN
        of_tenant := OLD.tenant_id;
    ELSE
        of_tenant := NEW.tenant_id;
    END IF;
    -- Once in a transaction: all that it changes is seen at once. A savepoint that is rolled back takes
    -- this with it.
    IF current_setting('app.corpus_changed', true) = of_tenant::text THEN
        RETURN NULL;
    END IF;
    SELECT id INTO free FROM corpus_epoch WHERE tenant_id = of_tenant
        LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
        UPDATE corpus_epoch SET changes = changes + 1
            WHERE tenant_id = of_tenant AND id = free;
    ELSE
        INSERT INTO corpus_epoch (tenant_id, id, changes)
            VALUES (of_tenant, gen_random_uuid(), 1);
    END IF;
    PERFORM set_config('app.corpus_changed', of_tenant::text, true);
    RETURN NULL;
END
$$;
"""

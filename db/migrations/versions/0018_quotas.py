"""Quotas: what a tenant keeps is counted where it is kept, and held to what its operator allows."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

TABLES = ("tenant_quota", "tenant_usage")
COUNTED = ("file", "file_version", "job")


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE file_version ADD COLUMN counted_pages INTEGER DEFAULT 0 NOT NULL;

        CREATE TABLE tenant_quota (
            tenant_id UUID NOT NULL,
            max_bytes BIGINT,
            max_files BIGINT,
            max_pages BIGINT,
            updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
        CREATE TABLE tenant_usage (
            tenant_id UUID NOT NULL,
            bytes BIGINT NOT NULL CHECK (bytes >= 0),
            files BIGINT NOT NULL CHECK (files >= 0),
            pages BIGINT NOT NULL CHECK (pages >= 0),
            PRIMARY KEY (tenant_id),
            FOREIGN KEY(tenant_id) REFERENCES tenant (id)
        );
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
    op.execute(
        """
        -- The application reads what a tenant may keep. The schema's owner alone writes it. What the
        -- tenant keeps is written by the application's own triggers, and is never below nothing.
        GRANT SELECT ON tenant_quota TO muniment_app;
        GRANT SELECT, INSERT, UPDATE ON tenant_usage TO muniment_app;

        -- The operator's command leaves its trace, as the owner that is no superuser.
        CREATE POLICY definer ON audit_event FOR INSERT TO CURRENT_USER
            WITH CHECK (tenant_id = (SELECT current_tenant()));
        """
    )
    _count_what_is_there()
    op.execute(
        """
        -- Counted with the row, whoever writes it. Rows of files are never deleted: an erased file
        -- stays as a tombstone, and gives its place back when it becomes one.
        CREATE FUNCTION add_to_usage(of_tenant uuid, more_bytes bigint, more_files bigint,
                                     more_pages bigint)
        RETURNS void LANGUAGE sql AS
        $$
            INSERT INTO tenant_usage AS usage (tenant_id, bytes, files, pages)
            VALUES (of_tenant, greatest(0, more_bytes), greatest(0, more_files),
                    greatest(0, more_pages))
            -- However wrong a count may be, an erasure does not fail by it.
            ON CONFLICT (tenant_id) DO UPDATE SET
                bytes = greatest(0, usage.bytes + more_bytes),
                files = greatest(0, usage.files + more_files),
                pages = greatest(0, usage.pages + more_pages)
        $$;

        CREATE FUNCTION count_new_file() RETURNS trigger LANGUAGE plpgsql AS
        $$
        BEGIN
            PERFORM add_to_usage(NEW.tenant_id, 0, 1, 0);
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER file_counted AFTER INSERT ON file
            FOR EACH ROW WHEN (NEW.state <> 'erased') EXECUTE FUNCTION count_new_file();

        CREATE FUNCTION count_erased_file() RETURNS trigger LANGUAGE plpgsql AS
        $$
        DECLARE
            its_bytes bigint;
            its_pages bigint;
        BEGIN
            SELECT coalesce(sum(size), 0), coalesce(sum(counted_pages), 0)
            INTO its_bytes, its_pages
            FROM file_version WHERE file_id = NEW.id;
            PERFORM add_to_usage(NEW.tenant_id, -its_bytes, -1, -its_pages);
            RETURN NULL;
        END
        $$;
        CREATE TRIGGER file_erased AFTER UPDATE OF state ON file
            FOR EACH ROW WHEN (OLD.state <> 'erased' AND NEW.state = 'erased')
            EXECUTE FUNCTION count_erased_file();

        CREATE FUNCTION count_version() RETURNS trigger LANGUAGE plpgsql AS
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
        CREATE TRIGGER version_counted AFTER INSERT OR UPDATE OF counted_pages ON file_version
            FOR EACH ROW EXECUTE FUNCTION count_version();
        """
    )


def _count_what_is_there() -> None:
    """Row-level security is lifted meanwhile: forced, it hides from the owner what is to be counted."""
    for table in COUNTED:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(
        """
        -- Of what is under way, or failed once its pages were counted, its jobs know how many.
        UPDATE file_version SET counted_pages = known.pages
        FROM (
            SELECT version.id, greatest(version.page_count, max(job.pages_total)) AS pages
            FROM file_version version LEFT JOIN job ON job.version_id = version.id
            GROUP BY version.id
        ) known
        WHERE known.id = file_version.id AND known.pages > 0;

        INSERT INTO tenant_usage (tenant_id, bytes, files, pages)
        SELECT file.tenant_id, coalesce(sum(content.bytes), 0), count(*),
               coalesce(sum(content.pages), 0)
        FROM file
        LEFT JOIN (
            SELECT file_id, sum(size) AS bytes, sum(counted_pages) AS pages
            FROM file_version GROUP BY file_id
        ) content ON content.file_id = file.id
        WHERE file.state <> 'erased'
        GROUP BY file.tenant_id;
        """
    )
    for table in COUNTED:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    op.execute(
        """
        DROP TRIGGER version_counted ON file_version;
        DROP TRIGGER file_erased ON file;
        DROP TRIGGER file_counted ON file;
        DROP FUNCTION count_version();
        DROP FUNCTION count_erased_file();
        DROP FUNCTION count_new_file();
        DROP FUNCTION add_to_usage(uuid, bigint, bigint, bigint);
        DROP POLICY definer ON audit_event;
        DROP TABLE tenant_usage;
        DROP TABLE tenant_quota;
        ALTER TABLE file_version DROP COLUMN counted_pages;
        """
    )

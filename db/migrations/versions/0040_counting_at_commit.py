"""What is added to what a tenant keeps is counted when its transaction commits: those who add hold the row
that all of the tenant wait for then, instead of from the first thing that they add."""

from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        DROP TRIGGER file_counted ON file;
        CREATE CONSTRAINT TRIGGER file_counted AFTER INSERT ON file
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW WHEN (NEW.state <> 'erased') EXECUTE FUNCTION count_new_file();

        DROP TRIGGER version_counted ON file_version;
        CREATE CONSTRAINT TRIGGER version_counted AFTER INSERT ON file_version
            DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION count_version();
        CREATE TRIGGER version_counted_anew AFTER UPDATE OF counted_pages ON file_version
            FOR EACH ROW EXECUTE FUNCTION count_version();

        -- Whether a version counts depends on its file, and what a file gives back on its versions: all
        -- that was added before is counted before a file is erased, or is no longer.
        CREATE FUNCTION count_what_was_added() RETURNS trigger
        LANGUAGE plpgsql SET search_path = public, pg_temp AS
        $$
        BEGIN
            SET CONSTRAINTS public.file_counted, public.version_counted IMMEDIATE;
            RETURN NEW;
        END
        $$;
        REVOKE ALL ON FUNCTION count_what_was_added() FROM PUBLIC;
        CREATE TRIGGER file_counts_first BEFORE UPDATE OF state ON file
            FOR EACH ROW WHEN ((OLD.state = 'erased') <> (NEW.state = 'erased'))
            EXECUTE FUNCTION count_what_was_added();

        -- Whoever waits for a process that stands still holds a connection that other tenants need.
        ALTER FUNCTION take_usage_turn() SET lock_timeout = '3s';
        """
    )


def downgrade() -> None:
    op.execute(
        """
        ALTER FUNCTION take_usage_turn() RESET lock_timeout;
        DROP TRIGGER file_counts_first ON file;
        DROP FUNCTION count_what_was_added();
        DROP TRIGGER version_counted_anew ON file_version;
        DROP TRIGGER version_counted ON file_version;
        CREATE TRIGGER version_counted AFTER INSERT OR UPDATE OF counted_pages ON file_version
            FOR EACH ROW EXECUTE FUNCTION count_version();
        DROP TRIGGER file_counted ON file;
        CREATE TRIGGER file_counted AFTER INSERT ON file
            FOR EACH ROW WHEN (NEW.state <> 'erased') EXECUTE FUNCTION count_new_file();
        """
    )

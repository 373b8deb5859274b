"""The first schema: tables, row-level security, visibility, the functions across tenants."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_HERE = Path(__file__).parent


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS vector")
    op.execute((_HERE / "0001_tables.sql").read_text(encoding="utf-8"))
    op.execute((_HERE / "0001_security.sql").read_text(encoding="utf-8"))


def downgrade() -> None:
    op.execute(
        """
        DO $$
        DECLARE
            name text;
        BEGIN
            FOR name IN
                SELECT tablename FROM pg_tables
                WHERE schemaname = 'public' AND tablename <> 'alembic_version'
            LOOP
                EXECUTE format('DROP TABLE %I CASCADE', name);
            END LOOP;
        END
        $$
        """
    )
    for function in (
        "notify_job_event()",
        "unstarted_jobs(interval, integer)",
        "open_jobs(interval, uuid, integer)",
        "use_stream_ticket(bytea)",
        "authenticate_api_key(bytea)",
        "visible_files(text)",
        "current_principal()",
        "current_tenant()",
    ):
        op.execute(f"DROP FUNCTION {function}")

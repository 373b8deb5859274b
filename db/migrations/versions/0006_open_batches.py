"""Finds batches that were started and have not ended."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE FUNCTION open_batches(min_age interval, after_batch uuid, max_rows integer)
        RETURNS TABLE (tenant_id uuid, batch_id uuid, workflow_id text)
        LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS
        $$
            SELECT batch.tenant_id, batch.id, batch.workflow_id
            FROM batch
            WHERE batch.finished_at IS NULL AND batch.started_at < now() - min_age
              AND (after_batch IS NULL OR batch.id > after_batch)
            ORDER BY batch.id
            LIMIT max_rows
        $$;
        REVOKE ALL ON FUNCTION open_batches(interval, uuid, integer) FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION open_batches(interval, uuid, integer) TO muniment_app;
        """
    )


def downgrade() -> None:
    op.execute("DROP FUNCTION open_batches(interval, uuid, integer)")

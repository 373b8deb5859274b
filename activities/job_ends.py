"""Counts the jobs that end."""

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.jobs import JobRow
from muniment.telemetry.metrics import jobs_total


def count_end(session: AsyncSession, ended: JobRow) -> None:
    """Counts the job, whose end the session has written, once that is committed."""

    def count(_: object) -> None:
        jobs_total.labels(ended.kind.value, ended.state.value).inc()

    event.listen(session.sync_session, "after_commit", count, once=True)

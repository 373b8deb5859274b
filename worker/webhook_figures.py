"""How much webhooks have yet to deliver, for Prometheus: figures of all tenants together."""

from db.models import now
from db.queries.webhook_backlog import webhook_backlog
from db.session import Database
from muniment.errors import MunimentError
from muniment.telemetry.metrics import (
    webhook_dead_letters,
    webhook_oldest_seconds,
    webhook_pending,
)
from worker.rounds import go_round

INTERVAL_SECONDS = 30.0


class WebhookFigures:
    """Every worker that runs workflows tells the same: whoever adds them up counts each twice."""

    def __init__(self, database: Database, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._database = database
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.look,
            self._interval_seconds,
            "webhooks were not counted",
            first_after_seconds=self._interval_seconds,
        )

    async def look(self) -> None:
        """Where the database does not answer there are no figures, rather than those of before."""
        try:
            async with self._database.across_tenants() as session:
                backlog = await webhook_backlog(session)
        except MunimentError:
            for figure in (webhook_pending, webhook_oldest_seconds, webhook_dead_letters):
                figure.set(float("nan"))
            raise
        oldest_at = backlog.oldest_at
        age = 0.0 if oldest_at is None else (now() - oldest_at).total_seconds()
        webhook_pending.set(backlog.pending)
        webhook_oldest_seconds.set(max(0.0, age))
        webhook_dead_letters.set(backlog.dead_letters)

"""How much webhooks have yet to deliver, for Prometheus: figures of all tenants together."""

from db.models import now
from db.queries.webhook_backlog import webhook_backlog
from db.session import Database
from muniment.telemetry import metrics
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
            first_after_seconds=0,
        )

    async def look(self) -> None:
        """Where the database does not answer there are no figures, rather than those of before."""
        try:
            async with self._database.across_tenants() as session:
                backlog = await webhook_backlog(session)
        except BaseException:
            metrics.webhook_backlog.seen = None
            raise
        oldest_at = backlog.oldest_at
        age = 0.0 if oldest_at is None else (now() - oldest_at).total_seconds()
        metrics.webhook_backlog.seen = metrics.WebhookBacklog(
            backlog.pending, max(0.0, age), backlog.dead_letters
        )

"""Starts the sealing of audit trails where there is anything to seal, and tells how far behind it is."""

import logging

from temporalio.client import Client

from db.models import now
from db.queries import audit_tree
from db.session import Database
from muniment.telemetry import metrics
from worker.rounds import go_round
from workflows.starting import start_sealing

logger = logging.getLogger(__name__)

FIRST_ROUND_SECONDS = 1.0


class AuditSealingRounds:
    """Doing it twice is harmless, so any number of workers may run one: there is one workflow at a time."""

    def __init__(
        self, database: Database, client: Client, interval_seconds: float, *, makes_copies: bool
    ) -> None:
        self._database = database
        self._client = client
        self._interval_seconds = interval_seconds
        self._makes_copies = makes_copies

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            "audit trails were not sealed",
            first_after_seconds=FIRST_ROUND_SECONDS,
        )

    async def round(self) -> bool:
        """Whether there was anything to do. Where the database does not answer there are no figures, rather
        than those of before."""
        try:
            async with self._database.across_tenants() as session:
                waiting = await audit_tree.unsealed_events(session)
                uncopied = self._makes_copies and bool(
                    await audit_tree.tenants_with_uncopied(session, None, 1)
                )
        except BaseException:
            metrics.audit_backlog.seen = None
            raise
        oldest_at = waiting.oldest_at
        age = 0.0 if oldest_at is None else (now() - oldest_at).total_seconds()
        metrics.audit_backlog.seen = metrics.AuditBacklog(waiting.events, max(0.0, age))
        if not waiting.events and not uncopied:
            return False
        await start_sealing(self._client)
        return True

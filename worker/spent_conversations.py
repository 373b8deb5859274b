"""Forgets conversations that nobody wrote to for as long as the operator has set, those whose principal was
deleted, and events of answers that nobody resumes any more."""

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from db.queries import answer_events, conversations
from db.queries.integrity import tenants_after
from db.session import Access, Database
from muniment.errors import MunimentError
from worker.rounds import go_round

ROUND_SECONDS = 3600.0
FIRST_ROUND_SECONDS = 45.0
PAGE_TENANTS = 500
FAILED = "conversations stay longer than they are to"

logger = logging.getLogger(__name__)


class SpentConversations:
    """Forgetting twice is harmless, so any number of workers may run one. With `kept` None a conversation
    stays until its owner deletes it."""

    def __init__(self, database: Database, kept: timedelta | None) -> None:
        self._database = database
        self._kept = kept

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            ROUND_SECONDS,
            FAILED,
            first_after_seconds=FIRST_ROUND_SECONDS,
        )

    async def round(self) -> int:
        """Through all tenants; how many conversations were forgotten. Their keys are marked: the sweep
        destroys them."""
        forgotten = 0
        after: UUID | None = None
        while tenants := await self._tenants_after(after):
            after = tenants[-1]
            for tenant_id in tenants:
                try:
                    forgotten += await self._forget(tenant_id)
                except MunimentError as error:
                    # The tenants behind it have their turn all the same.
                    reason = {"tenant_id": str(tenant_id), "reason": error.problem}
                    logger.warning(FAILED, extra=reason)
        return forgotten

    async def _tenants_after(self, after: UUID | None) -> Sequence[UUID]:
        async with self._database.across_tenants() as session:
            return await tenants_after(session, after, PAGE_TENANTS)

    async def _forget(self, tenant_id: UUID) -> int:
        forgotten = 0
        while True:
            async with self._database.transaction(Access(tenant_id)) as session:
                part = await conversations.forget_older(session, self._kept)
                events = await answer_events.forget_older(session)
            forgotten += part
            if not part and events < answer_events.FORGOTTEN_AT_ONCE:
                return forgotten

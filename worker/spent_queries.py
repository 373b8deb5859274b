"""Forgets queries, evaluations and cached responses that were kept for as long as they are to be."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from db.queries import analytics, answer_cache, evaluations
from db.queries.analytics import QueryPolicy
from db.queries.integrity import tenants_after
from db.session import Access, Database
from worker.rounds import go_round

ROUND_SECONDS = 3600.0
FIRST_ROUND_SECONDS = 30.0
PAGE_TENANTS = 500


class SpentQueries:
    """Forgetting twice is harmless, so any number of workers may run one. `default`: of tenants that have
    set nothing else; `evaluations_kept`: for how long what evaluations measured is told."""

    def __init__(
        self, database: Database, default: QueryPolicy, evaluations_kept: timedelta
    ) -> None:
        self._database = database
        self._default = default
        self._evaluations_kept = evaluations_kept

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            ROUND_SECONDS,
            "queries, evaluations and cached responses stay longer than they are to",
            first_after_seconds=FIRST_ROUND_SECONDS,
        )

    async def round(self) -> int:
        """Through all tenants; how many queries were forgotten."""
        forgotten = 0
        after: UUID | None = None
        while tenants := await self._tenants_after(after):
            after = tenants[-1]
            for tenant_id in tenants:
                forgotten += await self._forget(tenant_id)
        return forgotten

    async def _tenants_after(self, after: UUID | None) -> Sequence[UUID]:
        async with self._database.across_tenants() as session:
            return await tenants_after(session, after, PAGE_TENANTS)

    async def _forget(self, tenant_id: UUID) -> int:
        forgotten = 0
        while True:
            async with self._database.transaction(Access(tenant_id)) as session:
                policy = await analytics.policy_of(session, tenant_id, self._default)
                old = await analytics.forget_older(session, policy.kept)
                # Where whoever wanted no more of it died before all was gone.
                unwanted = await analytics.forget_unwanted(session, policy.keeps)
            forgotten += old + unwanted
            if max(old, unwanted) < analytics.FORGOTTEN_AT_ONCE:
                break
        async with self._database.transaction(Access(tenant_id)) as session:
            await evaluations.forget_older(session, self._evaluations_kept)
        async with self._database.transaction(Access(tenant_id)) as session:
            await answer_cache.forget_stale(session)
        return forgotten

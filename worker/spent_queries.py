"""Forgets queries that were kept for as long as their tenant wants."""

from collections.abc import Sequence
from uuid import UUID

from db.queries import analytics
from db.queries.analytics import QueryPolicy
from db.queries.integrity import tenants_after
from db.session import Access, Database
from worker.rounds import go_round

ROUND_SECONDS = 3600.0
FIRST_ROUND_SECONDS = 30.0
PAGE_TENANTS = 500


class SpentQueries:
    """Forgetting twice is harmless, so any number of workers may run one. `default`: of tenants that have
    set nothing else."""

    def __init__(self, database: Database, default: QueryPolicy) -> None:
        self._database = database
        self._default = default

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            ROUND_SECONDS,
            "queries stay longer than they are to",
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
                some = await analytics.forget_older(session, policy.kept)
            forgotten += some
            if some < analytics.FORGOTTEN_AT_ONCE:
                return forgotten

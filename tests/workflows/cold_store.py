"""An installation with a cold store: where its objects lie, and movers between its tiers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text
from temporalio.client import WorkflowHandle

from activities.tiers.activity import MovePolicy, Tiers
from db.models import new_id
from db.queries.tier_policies import ColdPolicy
from db.queries.tiers import request_moves
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.move_tier import WORKFLOW, MoveTierInput, Tier
from muniment.objects import BlobTiers
from muniment.stores import open_stores
from tests.workflows.workshop import TenantIds, Workshop

ONLY = (queues.WORKFLOWS, queues.VERIFY)
NO_GRACE = timedelta(0)


@dataclass
class ColdPlace:
    """`hot` and `cold`: the folders in which the tiers' objects lie as plain files."""

    workshop: Workshop
    hot: Path
    cold: Path

    @property
    def tiers(self) -> BlobTiers:
        assert self.workshop.stores.tiers is not None
        return self.workshop.stores.tiers

    def path(self, owner: TenantIds, blob_id: UUID, tier: Tier) -> Path:
        root = self.hot if tier is Tier.HOT else self.cold
        return root / str(owner.tenant_id) / blob_id.hex[-2:] / str(blob_id)

    def where(self, owner: TenantIds, blob_id: UUID) -> list[str]:
        """The tiers that have something of it."""
        return [tier.value for tier in Tier if self.path(owner, blob_id, tier).exists()]

    async def content(self, owner: TenantIds, blob_id: UUID, size: int) -> bytes:
        """As a process reads it that knows nothing of it yet."""
        blobs = open_stores(self.workshop.settings).blobs
        return b"".join([piece async for piece in blobs.reread(owner.tenant_id, blob_id, size)])

    async def tier_of(self, owner: TenantIds, blob_id: UUID) -> str:
        async with self.workshop.database.transaction(Access(owner.tenant_id)) as session:
            found = await session.execute(
                text("SELECT tier FROM blob WHERE id = :id"), {"id": blob_id}
            )
            return str(found.scalar_one())

    async def request(self, owner: TenantIds, file_id: UUID, tier: Tier) -> int:
        async with self.workshop.database.transaction(Access(owner.tenant_id)) as session:
            return await request_moves(session, file_id, tier)

    def movers(
        self,
        grace: timedelta = NO_GRACE,
        cold: ColdPolicy | None = None,
        tiers: BlobTiers | None = None,
    ) -> Sequence[Callable[..., Any]]:
        policy = MovePolicy(cold, grace, bytes_per_second=1 << 40)
        made = Tiers(self.workshop.database, tiers or self.tiers, policy)
        return [made.plan_moves, made.move_batch]

    async def run(self, owner: TenantIds, times: int = 1, **policy: Any) -> None:
        """So many runs, one after the other."""
        async with self.workshop.working(replacing=self.movers(**policy), names=ONLY):
            for _ in range(times):
                await (await self.start(owner)).result()

    async def start(self, owner: TenantIds) -> WorkflowHandle[Any, Any]:
        """A run that was just started; somebody has to serve it."""
        return await self.workshop.client.start_workflow(
            WORKFLOW,
            MoveTierInput(tenant_id=owner.tenant_id),
            id=f"move-tier-{new_id()}",
            task_queue=queues.WORKFLOWS,
        )


def with_cold_store(workshop: Workshop, settings: Any, cold: Path) -> ColdPlace:
    """The workshop, its hot tier as it was, with that cold store."""
    changed = workshop.settings.model_copy(update={"cold_store": settings})
    stores = open_stores(changed)
    made = replace(workshop, settings=changed, stores=stores)
    return ColdPlace(made, workshop.settings.objects.root, cold)

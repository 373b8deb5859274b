"""One batch of moves in a process of its own, which kills itself at the step that it is told."""

import asyncio
import os
import signal
import sys
from datetime import timedelta
from uuid import UUID

from temporalio.testing import ActivityEnvironment

from activities.tiers.activity import MovePolicy, Tiers
from db.session import Database
from muniment.contracts.move_tier import MoveBatchInput, Tier
from muniment.objects.tiers import BlobTiers, Paced
from muniment.settings import load_settings
from muniment.stores import open_stores

STEPS = (
    *("while it copies", "while it reads the copy", "before the switch", "after the switch"),
    *("before it deletes", "after it deleted"),
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Doomed(BlobTiers):
    def __init__(self, real: BlobTiers, step: str, size: int) -> None:
        super().__init__(real._stores[Tier.HOT], real._stores[Tier.COLD], real._marks)
        self._step = step
        self._size = size
        self._passed = 0

    async def copy(self, tenant_id: UUID, blob_id: UUID, destination: Tier, paced: Paced) -> None:
        async def counted(count: int) -> None:
            if self._step == "while it copies" and self._passed:
                die()
            self._passed += count
            if self._step == "while it reads the copy" and self._passed > 2 * self._size - count:
                die()

        await super().copy(tenant_id, blob_id, destination, counted)
        if self._step == "before the switch":
            die()

    async def delete(self, tenant_id: UUID, blob_id: UUID, tier: Tier) -> None:
        if self._step == "before it deletes":
            die()
        await super().delete(tenant_id, blob_id, tier)
        if self._step == "after it deleted":
            die()


class DoomedTiers(Tiers):
    step = ""

    async def _move(self, *arguments: object) -> bool:
        moved = await super()._move(*arguments)  # type: ignore[arg-type] # as they came
        if self.step == "after the switch":
            die()
        return moved


async def main(step: str, tenant_id: UUID, size: int, grace_seconds: float) -> None:
    settings = load_settings()
    tiers = open_stores(settings).tiers
    assert tiers is not None
    database = Database(settings.database.url.get_secret_value())
    policy = MovePolicy(None, timedelta(seconds=grace_seconds), 1 << 40)
    activities = DoomedTiers(database, Doomed(tiers, step, size), policy)
    activities.step = step
    request = MoveBatchInput(tenant_id=tenant_id)
    await ActivityEnvironment().run(activities.move_batch, request)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))

"""A tenant's rotation in a process of its own, which kills itself at the step that it is told."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from temporalio.testing import ActivityEnvironment

from activities.key_rotation.activity import KeyRotations
from db.session import Database
from muniment.contracts.rotate_keys import RotateKeysInput
from muniment.settings import load_settings
from muniment.stores import open_stores

STEPS = (
    "after the new one took over",
    "while it replaces keys",
    "before the former one lets go",
    "after the former one let go",
)


def doomed(act: Callable[..., Awaitable[object]], *, first: bool) -> Callable[..., Awaitable[None]]:
    """Kills the process instead of the act, or after it."""

    async def killed(*arguments: object) -> None:
        if not first:
            await act(*arguments)
        os.kill(os.getpid(), signal.SIGKILL)

    return killed


async def main(step: str, tenant_id: UUID, rotation_id: UUID) -> None:
    settings = load_settings()
    stores = open_stores(settings)
    assert stores.changing is not None
    current, former = stores.changing._current, stores.changing._former["file"]
    for name, owner, attribute, first in (
        (STEPS[0], current, "take_over", False),
        (STEPS[1], stores.blobs, "keep_renewed_key", False),
        (STEPS[2], former, "move_away", True),
        (STEPS[3], former, "move_away", False),
    ):
        if name == step:
            setattr(owner, attribute, doomed(getattr(owner, attribute), first=first))
    database = Database(settings.database.url.get_secret_value())
    rotations = KeyRotations(database, stores.blobs, stores.keys, timedelta())
    request = RotateKeysInput(tenant_id=tenant_id, rotation_id=rotation_id)
    await ActivityEnvironment().run(rotations.begin_key_rotation, request)
    while not (await ActivityEnvironment().run(rotations.rewrap_keys, request)).is_last:
        pass
    await ActivityEnvironment().run(rotations.finish_key_rotation, request)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), UUID(sys.argv[3])))

"""Watchers in this process: who comes while one ends."""

import asyncio

import pytest

from api.events.registry import Watchers
from api.events.watcher import TenantWatcher
from api.jobs.view import WorkflowLinks
from db.queries import events
from db.queries.events import TenantCursor
from db.session import Database
from muniment.errors import Conflict
from tests.conftest import TenantFixture


async def test_a_watcher_that_ends_keeps_nobody(
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who joins while its last transaction ends is sent away with the others, and finds another."""
    async with database.transaction(tenant.system) as session:
        end = await events.tenant_stream_end(session)
    links = WorkflowLinks(None, "default")
    watchers = Watchers[object, TenantCursor]()
    looks = 0
    late = []

    def join() -> None:
        late.append(
            watchers.join(
                tenant.tenant_id, lambda: TenantWatcher(database, links, tenant.system, end)
            )[1]
        )

    async def erased(*_: object) -> None:
        nonlocal looks
        looks += 1
        asyncio.get_running_loop().call_soon(join)
        raise Conflict("erased")

    monkeypatch.setattr(events, "require_events_kept", erased)
    join()
    async with asyncio.timeout(60):
        while [each.is_over for each in late] != [True, True]:  # noqa: ASYNC110 - a watcher's own task
            await asyncio.sleep(0.02)
    # Longer than a watcher pauses before it looks again.
    await asyncio.sleep(1.0)
    assert (looks, len(watchers)) == (1, 0)

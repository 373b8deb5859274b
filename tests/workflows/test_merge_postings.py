"""The index of words is put in order by itself, and a worker that dies meanwhile loses nothing of it."""

import asyncio
import os
import signal
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from temporalio.client import WorkflowHandle

from db.models import new_id
from db.queries.postings import LEAST_ROWS_TO_MERGE
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.merge_postings import WORKFLOW, MergePostingsInput, schedule_id
from tests.patience import on_a_busy_machine
from tests.retrieval.published import publish_file
from tests.workflows.test_verify_integrity import rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.tenant_schedules import MERGES, TenantSchedules

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS,)
OAK = "posting WHERE term = 'oak'"
WAITING = "unmerged_posting ORDER BY share, first_number"


async def published(workshop: Workshop, owner: TenantIds) -> None:
    for _ in range(LEAST_ROWS_TO_MERGE):
        await publish_file(
            workshop.database, Access(owner.tenant_id), owner.collection_id, ["oak elm", "oak"]
        )


async def merging(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """A round that was just started."""
    return await workshop.client.start_workflow(
        WORKFLOW,
        MergePostingsInput(tenant_id=owner.tenant_id),
        id=f"merge-postings-{new_id()}",
        task_queue=queues.WORKFLOWS,
    )


async def test_a_tenants_schedule_has_small_rows_merged(
    lone_workshop: Workshop, lone_owner: TenantIds
) -> None:
    workshop, owner = lone_workshop, lone_owner
    await published(workshop, owner)
    await TenantSchedules(workshop.database, workshop.client, MERGES, timedelta(minutes=15)).round()
    schedule = workshop.client.get_schedule_handle(schedule_id(owner.tenant_id))
    async with workshop.working(names=ONLY):
        await schedule.trigger()
        async with asyncio.timeout(on_a_busy_machine(60)):
            while len(await rows(workshop, owner, OAK)) != 1:  # noqa: ASYNC110 - rows tell nobody
                await asyncio.sleep(0.1)
    await schedule.delete()
    (row,) = await rows(workshop, owner, OAK)
    assert row["passages"] == 2 * LEAST_ROWS_TO_MERGE


async def test_a_worker_that_is_killed_while_it_merges_loses_nothing(
    workshop: Workshop, owner: TenantIds
) -> None:
    await published(workshop, owner)
    before = await rows(workshop, owner, WAITING)
    assert before
    url = workshop.settings.database.url.get_secret_value()
    died = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "tests.workflows.killed_merge", str(owner.tenant_id), url],
        env=os.environ,
        timeout=on_a_busy_machine(60),
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert await rows(workshop, owner, WAITING) == before
    assert await rows(workshop, owner, "posting") == []
    async with workshop.working(names=ONLY):
        await (await merging(workshop, owner)).result()
    assert [row["passages"] for row in await rows(workshop, owner, "posting ORDER BY term")] == [
        LEAST_ROWS_TO_MERGE,
        2 * LEAST_ROWS_TO_MERGE,
    ]

"""A sweep that waited for a decision, and a person's request that was approved: to be recorded."""

from datetime import timedelta
from typing import Any

from temporalio.client import WorkflowHandle

from activities.retention.activity import SweepPolicy
from tests.db.retained import policy
from tests.workflows import test_retention_sweep as sweeps
from tests.workflows import test_subject_requests as subjects
from tests.workflows.documents import TEXT
from tests.workflows.workshop import TenantIds, Workshop


async def swept(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    await workshop.upload(owner, TEXT, "letter.txt")
    await sweeps.add(workshop, policy(owner, days=0, disposition="delete"))
    careful = SweepPolicy(0.0, 0, timedelta(days=30))
    async with workshop.working(replacing=sweeps.sweeping(workshop, careful)):
        sweep_id = await sweeps.ordered(workshop, owner)
        handle = await sweeps.started(workshop, owner, sweep_id)
        await sweeps.until_waiting(workshop, owner, sweep_id)
        await sweeps.add(workshop, sweeps.decision(owner, sweep_id, "approve"))
        await handle.signal("look")
        await handle.result()
    return handle


async def handed_out(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    async with workshop.working():
        await subjects.ingested(workshop, owner, "Ana Li, once.\n", "once.txt")
        request = await subjects.asked(workshop, owner)
        handle = await subjects.started(workshop, request)
        await subjects.until(workshop, request, "waiting")
        await subjects.approve(workshop, request)
        await handle.result()
    return handle

"""What is written to the audit trails is sealed by itself some moments later, by one workflow for all."""

import asyncio
from typing import Any, LiteralString

import psycopg
import pytest
from sqlalchemy import text
from temporalio.client import WorkflowHandle

from db.audit import Act, record
from db.queries import audit_tree
from db.session import Access
from muniment.audit.checkpoints import VerifierKey, opened
from muniment.contracts import queues
from muniment.contracts.seal_audit import WORKFLOW_ID
from muniment.telemetry.context import bound
from muniment.telemetry.metrics import REGISTRY
from tests.patience import on_a_busy_machine
from tests.workflows.conftest import tenant_in
from tests.workflows.test_verify_integrity import rows
from tests.workflows.workshop import TenantIds, Workshop
from worker.audit_sealing import AuditSealingRounds
from workflows.seal_audit import SealAudit
from workflows.starting import start_sealing

pytestmark = pytest.mark.asyncio(loop_scope="session")

ONLY = (queues.WORKFLOWS,)


async def act(workshop: Workshop, owner: TenantIds, action: str = "file.opened") -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        record(session, Act(action, "file", None, owner.tenant_id))


async def sealing(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """A round that was just started, and has something to seal."""
    await act(workshop, owner)
    await start_sealing(workshop.client)
    return workshop.client.get_workflow_handle(WORKFLOW_ID)


async def all_sealed(workshop: Workshop, owner: TenantIds) -> None:
    rounds = AuditSealingRounds(workshop.database, workshop.client, 5.0, makes_copies=False)
    async with asyncio.timeout(on_a_busy_machine(60)):
        while await rows(workshop, owner, "audit_unsealed"):
            await rounds.round()
            await asyncio.sleep(0.1)


async def test_a_round_has_what_was_committed_sealed(workshop: Workshop, owner: TenantIds) -> None:
    for _ in range(3):
        await act(workshop, owner)
    rounds = AuditSealingRounds(workshop.database, workshop.client, 5.0, makes_copies=False)
    assert await rounds.round()
    assert (REGISTRY.get_sample_value("muniment_audit_unsealed_events") or 0) >= 3
    assert REGISTRY.get_sample_value("muniment_audit_unsealed_oldest_seconds") is not None
    async with workshop.working(names=ONLY):
        await all_sealed(workshop, owner)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        newest = await audit_tree.newest_checkpoint(session)
        events = await session.execute(text("SELECT count(*) FROM audit_event"))
    assert newest is not None
    assert newest.size == events.scalar_one()
    said = opened(newest.note, [VerifierKey.parsed(newest.verifier_key)])
    assert (said.size, said.root) == (newest.size, newest.root)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_leaf SET hash = sha256('x') WHERE tenant_id = %s AND seq = 0",
        "DELETE FROM audit_checkpoint WHERE tenant_id = %s",
    ],
)
async def test_a_trail_that_was_changed_holds_up_no_other(
    lone_workshop: Workshop, lone_owner: TenantIds, lone_dsn: str, change: LiteralString
) -> None:
    workshop, changed, sound = lone_workshop, lone_owner, tenant_in(lone_dsn)
    for each in (changed, sound):
        await act(workshop, each)
    async with workshop.working(names=ONLY):
        for each in (changed, sound):
            await all_sealed(workshop, each)
        with psycopg.connect(lone_dsn) as connection:
            connection.execute(change, (changed.tenant_id,))
        for each in (changed, sound):
            await act(workshop, each)
        await all_sealed(workshop, sound)
        handle = workshop.client.get_workflow_handle_for(SealAudit.run, WORKFLOW_ID)
        told = await handle.result()
    assert told.refused == 1
    assert len(await rows(workshop, changed, "audit_unsealed")) == 1


async def test_an_act_of_an_activity_names_its_workflow(
    workshop: Workshop, owner: TenantIds
) -> None:
    with bound(workflow_id="ingest-1", request_id="request-1"):
        await act(workshop, owner)
    (named,) = await rows(workshop, owner, "audit_event WHERE workflow_id IS NOT NULL")
    assert (named["workflow_id"], named["request_id"]) == ("ingest-1", "request-1")

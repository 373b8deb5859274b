"""Many tenants have their schedules made beside each other, and what is there is left as it is."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from muniment.contracts.merge_postings import schedule_id
from muniment.errors import OrchestratorUnavailable
from tests.conftest import make_tenant
from tests.patience import on_a_busy_machine
from tests.workflows.workshop import Workshop
from worker.tenant_schedules import AT_ONCE, MERGES, TenantSchedules

pytestmark = pytest.mark.asyncio(loop_scope="session")

TENANTS = AT_ONCE + 3


def schedules(
    workshop: Workshop, client: Client | None = None, *, minutes: int = 15
) -> TenantSchedules:
    return TenantSchedules(
        workshop.database, client or workshop.client, MERGES, timedelta(minutes=minutes)
    )


async def intervals(workshop: Workshop, tenants: Sequence[UUID]) -> list[timedelta | None]:
    """Of the tenants' schedules, one after another; nothing where there is none."""
    found: list[timedelta | None] = []
    for tenant_id in tenants:
        handle = workshop.client.get_schedule_handle(schedule_id(tenant_id))
        try:
            (spec,) = (await handle.describe()).schedule.spec.intervals
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            found.append(None)
        else:
            found.append(spec.every)
    return found


async def until_listed(
    workshop: Workshop, tenants: Sequence[UUID], every: timedelta | None
) -> None:
    """Temporal's list follows what it holds."""
    wanted = {schedule_id(tenant_id) for tenant_id in tenants}
    async with asyncio.timeout(on_a_busy_machine(30)):
        while True:
            found = dict.fromkeys(wanted)
            async for each in await workshop.client.list_schedules():
                if each.id in wanted and each.schedule is not None:
                    found[each.id] = each.schedule.spec.intervals[0].every
            if set(found.values()) == {every}:
                return
            await asyncio.sleep(0.1)


async def test_every_tenant_has_its_schedule_and_is_looked_at_once(
    lone_workshop: Workshop, lone_dsn: str
) -> None:
    tenants = [make_tenant(lone_dsn).tenant_id for _ in range(TENANTS)]
    first = schedules(lone_workshop)
    assert await first.round() == TENANTS
    assert await first.round() == 0
    assert await intervals(lone_workshop, tenants) == [timedelta(minutes=15)] * TENANTS
    newcomer = make_tenant(lone_dsn).tenant_id
    assert await first.round() == 1
    await lone_workshop.client.get_schedule_handle(schedule_id(newcomer)).delete()
    for tenant_id in tenants:
        await lone_workshop.client.get_schedule_handle(schedule_id(tenant_id)).delete()


async def test_what_is_listed_is_changed_made_and_deleted_as_settings_say(
    lone_workshop: Workshop, lone_dsn: str
) -> None:
    tenants = [make_tenant(lone_dsn).tenant_id for _ in range(TENANTS)]
    quarter, half = timedelta(minutes=15), timedelta(minutes=30)
    await schedules(lone_workshop).round()
    await until_listed(lone_workshop, tenants, quarter)
    asked: list[UUID] = []
    again = schedules(lone_workshop)
    settle = again._settle

    async def counted(tenant_id: UUID) -> None:
        asked.append(tenant_id)
        await settle(tenant_id)

    again._settle = counted  # type: ignore[method-assign]
    assert await again.round() == TENANTS
    assert asked == [], "what is listed as it is to be is not asked for"
    await schedules(lone_workshop, minutes=30).round()
    assert await intervals(lone_workshop, tenants) == [half] * TENANTS
    await until_listed(lone_workshop, tenants, half)
    await lone_workshop.client.get_schedule_handle(schedule_id(tenants[0])).delete()
    await until_listed(lone_workshop, tenants[:1], None)
    await schedules(lone_workshop, minutes=30).round()
    assert await intervals(lone_workshop, tenants) == [half] * TENANTS
    await until_listed(lone_workshop, tenants, half)
    await schedules(lone_workshop, minutes=0).round()
    assert await intervals(lone_workshop, tenants) == [None] * TENANTS


async def test_without_temporal_the_round_fails_and_the_next_one_looks_again(
    lone_workshop: Workshop, lone_dsn: str
) -> None:
    tenant_id = make_tenant(lone_dsn).tenant_id
    elsewhere = await Client.connect(
        lone_workshop.client.service_client.config.target_host,
        namespace="absent",
        data_converter=lone_workshop.client.data_converter,
    )
    work = schedules(lone_workshop, elsewhere)
    with pytest.raises(OrchestratorUnavailable):
        await work.round()
    work._client = lone_workshop.client
    assert await work.round() == 1
    await lone_workshop.client.get_schedule_handle(schedule_id(tenant_id)).delete()

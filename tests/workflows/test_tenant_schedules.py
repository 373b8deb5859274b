"""Many tenants have their schedules made beside each other, and what is there is left as it is."""

from datetime import timedelta

import pytest
from temporalio.client import Client

from muniment.contracts.merge_postings import schedule_id
from muniment.errors import OrchestratorUnavailable
from tests.conftest import make_tenant
from tests.workflows.workshop import Workshop
from worker.tenant_schedules import AT_ONCE, MERGES, TenantSchedules

pytestmark = pytest.mark.asyncio(loop_scope="session")

TENANTS = AT_ONCE + 3


def schedules(workshop: Workshop, client: Client | None = None) -> TenantSchedules:
    return TenantSchedules(
        workshop.database, client or workshop.client, MERGES, timedelta(minutes=15)
    )


async def test_every_tenant_has_its_schedule_and_is_looked_at_once(
    lone_workshop: Workshop, lone_dsn: str
) -> None:
    tenants = [make_tenant(lone_dsn).tenant_id for _ in range(TENANTS)]
    first = schedules(lone_workshop)
    assert await first.round() == TENANTS
    assert await first.round() == 0
    for tenant_id in tenants:
        handle = lone_workshop.client.get_schedule_handle(schedule_id(tenant_id))
        assert (await handle.describe()).info.num_actions >= 0
    assert await schedules(lone_workshop).round() == TENANTS, "another worker finds them there"
    newcomer = make_tenant(lone_dsn).tenant_id
    assert await first.round() == 1
    await lone_workshop.client.get_schedule_handle(schedule_id(newcomer)).delete()
    for tenant_id in tenants:
        await lone_workshop.client.get_schedule_handle(schedule_id(tenant_id)).delete()


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

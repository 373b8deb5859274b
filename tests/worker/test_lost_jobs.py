"""Jobs whose workflows are gone end, and can be retried; those whose workflows live are let be."""

from datetime import timedelta

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from db.models import File, Job, now
from db.queries.events import events_after
from db.queries.jobs import mark_started
from db.session import Database
from muniment.errors import OrchestratorUnavailable
from tests.conftest import TenantFixture
from tests.worker.jobs import commit_job, row_of
from worker.lost_jobs import LostJobs
from workflows.starting import start_job

AT_ONCE = timedelta(0)


async def test_a_job_whose_workflow_was_terminated_fails_and_one_that_runs_is_let_be(
    database: Database, tenant: TenantFixture, temporal_address: str
) -> None:
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    terminated, running, vanished = [
        await commit_job(database, tenant, startable=True) for _ in range(3)
    ]
    for job in (terminated, running):
        run_id = await start_job(client, job)
        async with database.transaction(tenant.system) as session:
            await mark_started(session, job.id, run_id)
    async with database.transaction(tenant.system) as session:
        await mark_started(session, vanished.id, "a run that Temporal does not know")
    await client.get_workflow_handle(terminated.workflow_id).terminate()
    lost_jobs = LostJobs(database, client, min_age=AT_ONCE)
    assert await lost_jobs.round() >= 2
    for job in (terminated, vanished):
        row = await row_of(database, job)
        assert (row.state, row.finished_at is None) == ("failed", False)
        assert row.error is not None
        async with database.transaction(tenant.system) as session:
            events = await events_after(session, job.id, 0)
            file = await session.get(File, job.file_id)
        assert [event.event for event in events] == ["state", "end"]
        assert file is not None
        assert file.state == "failed"
    assert (await row_of(database, running)).finished_at is None
    await client.get_workflow_handle(running.workflow_id).terminate()


async def test_a_member_waits_for_its_start_as_long_as_its_container_is_at_work(
    database: Database, tenant: TenantFixture, temporal_address: str
) -> None:
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    container, member = [await commit_job(database, tenant, startable=True) for _ in range(2)]
    container_run = await start_job(client, container)
    async with database.transaction(tenant.system) as session:
        await mark_started(session, container.id, container_run)
        file = await session.get_one(File, member.file_id)
        file.parent_id, file.parent_version_id = container.file_id, container.version_id
        file.root_id, file.member_ordinal, file.member_path = container.file_id, 0, "a.txt"
        # As it is admitted: the workflow of its container will start it.
        (await session.get_one(Job, member.id)).started_at = now() - timedelta(hours=1)
    lost_jobs = LostJobs(database, client, min_age=AT_ONCE)
    await lost_jobs.round()
    assert (await row_of(database, member)).finished_at is None
    await client.get_workflow_handle(container.workflow_id).terminate()
    await lost_jobs.round()
    # The container's job may have had its turn after the member's.
    await lost_jobs.round()
    assert (await row_of(database, member)).state == "failed"


async def test_without_its_namespace_no_job_is_given_up(
    database: Database, tenant: TenantFixture, temporal_address: str
) -> None:
    job = await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        await mark_started(session, job.id, "a run")
    elsewhere = await Client.connect(temporal_address, namespace="not-made-yet", lazy=True)
    with pytest.raises(OrchestratorUnavailable):
        await LostJobs(database, elsewhere, min_age=AT_ONCE).round()
    assert (await row_of(database, job)).finished_at is None


async def test_a_job_just_started_is_not_asked_about(
    database: Database, tenant: TenantFixture, temporal_address: str
) -> None:
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    job = await commit_job(database, tenant, startable=True)
    async with database.transaction(tenant.system) as session:
        await mark_started(session, job.id, "a run that Temporal does not know")
    await LostJobs(database, client).round()
    assert (await row_of(database, job)).finished_at is None

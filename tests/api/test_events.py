"""Event streams: snapshot, order, resuming, ends, limits, visibility."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from sqlalchemy import text

from api.authentication import Caller
from api.events import authorization
from api.events.authorization import still_allowed, while_allowed
from api.events.subscription import LONGEST_QUEUE, Subscription, Told
from api.events.wire import HEARTBEAT
from db.models import now
from db.queries import erasure, jobs
from db.queries.events import NewEvent, append_events
from db.restored import SEQ_GAP
from db.session import Access, Database
from muniment.contracts.jobs import (
    JobEventKind,
    JobState,
    PageCounts,
    PageEvent,
    StageName,
    StageProgress,
    StageState,
)
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_jobs import ingest
from tests.conftest import TenantFixture, make_tenant
from tests.patience import on_a_busy_machine


@dataclass(frozen=True)
class Seen:
    """An event as a browser would see it."""

    id: str
    event: str
    data: dict[str, object]


@asynccontextmanager
async def opened(
    client: httpx.AsyncClient, path: str, last_event_id: str | None = None, **parameters: str
) -> AsyncIterator[AsyncIterator[Seen]]:
    headers = {"Last-Event-ID": last_event_id} if last_event_id else {}
    async with client.stream("GET", path, headers=headers, params=parameters or None) as response:
        assert response.status_code == 200, (await response.aread()).decode()
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield _events(response)


async def _events(response: httpx.Response) -> AsyncIterator[Seen]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield Seen(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}


async def take(events: AsyncIterator[Seen], count: int) -> list[Seen]:
    async with asyncio.timeout(on_a_busy_machine(20)):
        return [await anext(events) for _ in range(count)]


async def read_pages(database: Database, tenant_id: UUID, job_id: str, *pages: int) -> None:
    """As the activities record pages that were read."""
    found = [
        PageEvent(
            page=page,
            state=StageState.COMPLETED,
            queue="muniment-parse",
            engine="text",
            pages=PageCounts(total=10, done=page),
            percent=float(page),
        )
        for page in pages
    ]
    async with database.transaction(Access(tenant_id)) as session:
        await append_events(
            session,
            UUID(job_id),
            [NewEvent(JobEventKind.PAGE, each.model_dump(mode="json")) for each in found],
        )


async def change_job(database: Database, tenant_id: UUID, job_id: str, state: JobState) -> None:
    """As the activities record a state; a terminal one ends the stream."""
    async with database.transaction(Access(tenant_id)) as session:
        row = await jobs.lock_job(session, UUID(job_id))
        assert row is not None
        row = replace(row, state=state, finished_at=now() if state.is_terminal else None)
        events = [row.event(JobEventKind.STATE)]
        if state.is_terminal:
            events.append(row.event(JobEventKind.END))
        await jobs.write_job(session, row, events)


async def test_a_stream_opens_with_a_snapshot_and_ends_with_the_end(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    job_id = await ingest(client)
    async with opened(client, f"/v1/jobs/{job_id}/events") as events:
        snapshot = (await take(events, 1))[0]
        assert (snapshot.event, snapshot.id) == ("snapshot", "0")
        assert (snapshot.data["id"], snapshot.data["stale"]) == (job_id, True)
        await read_pages(database, tenant.tenant_id, job_id, 1, 2)
        pages = await take(events, 2)
        assert [(each.event, each.id, each.data["page"]) for each in pages] == [
            ("page", "1", 1),
            ("page", "2", 2),
        ]
        stage = StageProgress(name=StageName.SCAN, state=StageState.RUNNING)
        async with database.transaction(tenant.system) as session:
            payload = stage.model_dump(mode="json")
            await append_events(session, UUID(job_id), [NewEvent(JobEventKind.STAGE, payload)])
        assert (await take(events, 1))[0].data["state"] == "running"
        await change_job(database, tenant.tenant_id, job_id, JobState.COMPLETED)
        state, end = await take(events, 2)
        assert (state.event, end.event) == ("state", "end")
        assert (end.data["state"], end.data["percent"]) == ("completed", 100)
        with pytest.raises(StopAsyncIteration):
            await take(events, 1)


async def test_a_viewer_resumes_behind_the_last_id_without_loss_or_repetition(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    job_id = await ingest(client)
    path = f"/v1/jobs/{job_id}/events"
    await read_pages(database, tenant.tenant_id, job_id, 1, 2, 3, 4)
    async with opened(client, path, "2") as events:
        assert [each.id for each in await take(events, 2)] == ["3", "4"]
        await read_pages(database, tenant.tenant_id, job_id, 5)
        assert [each.id for each in await take(events, 1)] == ["5"]
    async with opened(client, f"{path}?last_event_id=4") as events:
        assert [each.id for each in await take(events, 1)] == ["5"]


async def test_resuming_past_the_end_is_204_and_before_what_is_kept_409(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    job_id = await ingest(client)
    path = f"/v1/jobs/{job_id}/events"
    await read_pages(database, tenant.tenant_id, job_id, 1, 2)
    assert (await client.get(path, headers={"Last-Event-ID": "99"})).status_code == 409
    assert (await client.get(path, headers={"Last-Event-ID": "abc"})).status_code == 400
    await change_job(database, tenant.tenant_id, job_id, JobState.FAILED)
    assert (await client.get(path, headers={"Last-Event-ID": "4"})).status_code == 204
    async with opened(client, path, "3") as events:
        assert [each.event for each in await take(events, 1)] == ["end"]
    async with opened(client, path) as events:
        snapshot, end = await take(events, 2)
        assert (snapshot.event, snapshot.id, end.event, end.id) == ("snapshot", "3", "end", "4")
        assert (end.data["state"], end.data["stale"]) == ("failed", False)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("DELETE FROM job_event WHERE job_id = %s AND seq < 3", (job_id,))
    assert (await client.get(path, headers={"Last-Event-ID": "1"})).status_code == 409


async def test_many_viewers_see_the_same(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    job_id = await ingest(client)
    seen: list[list[str]] = []

    async def view() -> None:
        async with opened(client, f"/v1/jobs/{job_id}/events") as events:
            assert (await take(events, 1))[0].event == "snapshot"
            ready.release()
            seen.append([each.id for each in await take(events, 30)])

    ready = asyncio.Semaphore(0)
    viewers = [asyncio.create_task(view()) for _ in range(20)]
    for _ in viewers:
        await ready.acquire()
    for page in range(1, 31):
        await read_pages(database, tenant.tenant_id, job_id, page)
    await asyncio.gather(*viewers)
    assert seen == [[str(number) for number in range(1, 31)]] * 20


async def test_a_restart_of_the_api_loses_no_event(
    api_environment: dict[str, str],
    api: ApiProcess,
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
) -> None:
    job_id = await ingest(client)
    path = f"/v1/jobs/{job_id}/events"
    second = start_api(api.home, api_environment)
    async with client_of(second, tenant.api_key) as viewer, opened(viewer, path) as events:
        await take(events, 1)
        await read_pages(database, tenant.tenant_id, job_id, 1)
        last = (await take(events, 1))[0].id
        assert await asyncio.to_thread(stop_api, second) == 0
        with pytest.raises(StopAsyncIteration):  # an orderly end, not a broken connection
            await take(events, 1)
    await read_pages(database, tenant.tenant_id, job_id, 2, 3)
    async with opened(client, path, last) as events:
        assert [each.id for each in await take(events, 2)] == ["2", "3"]


async def test_the_tenants_stream_has_all_its_jobs_in_commit_order(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    first = await ingest(client, "a")
    async with opened(client, "/v1/events") as events:
        snapshot = (await take(events, 1))[0]
        assert (snapshot.event, snapshot.data["id"]) == ("snapshot", first)
        second = await ingest(client, "b")
        await read_pages(database, tenant.tenant_id, second, 1)
        await read_pages(database, tenant.tenant_id, first, 1)
        await change_job(database, tenant.tenant_id, first, JobState.CANCELLED)
        found = await take(events, 4)
    assert [(each.event, each.data.get("job_id", each.data.get("id"))) for each in found] == [
        ("page", second),
        ("page", first),
        ("state", first),
        ("end", first),
    ]
    async with opened(client, "/v1/events", found[1].id) as events:
        assert [each.id for each in await take(events, 2)] == [found[2].id, found[3].id]
    assert (await client.get("/v1/events", params={"last_event_id": "x"})).status_code == 400


async def test_a_row_that_commits_late_is_not_lost_to_the_tenants_stream(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    slow, quick = await ingest(client, "slow"), await ingest(client, "quick")
    page = PageEvent(
        page=1, state=StageState.COMPLETED, queue="q", engine="e", pages=PageCounts(), percent=0
    ).model_dump(mode="json")
    async with opened(client, "/v1/events") as events:
        await take(events, 2)
        async with database.transaction(tenant.system) as session:
            await append_events(session, UUID(slow), [NewEvent(JobEventKind.PAGE, page)])
            await read_pages(database, tenant.tenant_id, quick, 1)
            await asyncio.sleep(1.0)
        found = await take(events, 2)
    assert {each.data["job_id"] for each in found} == {slow, quick}


async def test_a_tenants_stream_is_not_resumed_over_what_was_erased(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
) -> None:
    erased, kept = await ingest(client, "erased"), await ingest(client, "kept")
    async with opened(client, "/v1/events") as events:
        await take(events, 2)
        await read_pages(database, tenant.tenant_id, kept, 1)
        await read_pages(database, tenant.tenant_id, erased, 1)
        await read_pages(database, tenant.tenant_id, kept, 2)
        before, of_erased, behind = await take(events, 3)
    async with database.transaction(tenant.system) as session:
        job = await jobs.get_job(session, UUID(erased))
        assert job is not None
        await erasure.erase_job_events(session, job.file_id)
    path = "/v1/events"
    refused = await client.get(path, params={"last_event_id": before.id})
    assert refused.status_code == 409, refused.text
    assert "without an id" in refused.json()["remedy"]
    era = before.id.rpartition("-")[2]
    assert (await client.get(path, params={"last_event_id": f"0-0-{era}"})).status_code == 409
    await read_pages(database, tenant.tenant_id, kept, 3)
    for seen in (of_erased, behind):
        async with opened(client, path, seen.id) as events:
            assert (await take(events, 1))[0].data["job_id"] == kept
    async with opened(stranger, path, before.id):
        pass


async def test_a_tenants_stream_is_not_resumed_from_where_none_was(
    client: httpx.AsyncClient,
) -> None:
    await ingest(client)
    async with opened(client, "/v1/events") as events:
        era = (await take(events, 1))[0].id.rpartition("-")[2]
    ahead = f"{2**62}-1-{era}"
    answer = await client.get("/v1/events", params={"last_event_id": ahead})
    assert answer.status_code == 409, answer.text
    assert "none of this stream" in answer.json()["detail"]


async def test_what_is_erased_before_it_is_told_ends_the_stream(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    erased, kept = await ingest(client, "erased"), await ingest(client, "kept")
    async with opened(client, "/v1/events") as events:
        await take(events, 2)
        await read_pages(database, tenant.tenant_id, kept, 1)
        seen = (await take(events, 1))[0]
        # A transaction that goes on keeps all that commits behind it from being told.
        async with database.transaction(tenant.system) as holding:
            await holding.execute(text("SELECT pg_current_xact_id()"))
            await read_pages(database, tenant.tenant_id, erased, 1)
            async with database.transaction(tenant.system) as session:
                job = await jobs.get_job(session, UUID(erased))
                assert job is not None
                await erasure.erase_job_events(session, job.file_id)
            with pytest.raises(StopAsyncIteration):
                await take(events, 1)
    answer = await client.get("/v1/events", params={"last_event_id": seen.id})
    assert answer.status_code == 409, answer.text


async def erase_events(database: Database, tenant: TenantFixture, job_id: str) -> None:
    """As an erasure does, whose cancellation of the job nobody was told of yet."""
    async with database.transaction(tenant.system) as session:
        row = await jobs.lock_job(session, UUID(job_id))
        assert row is not None
        job = await jobs.get_job(session, UUID(job_id))
        assert job is not None
        row = replace(row, state=JobState.CANCELLED, finished_at=now())
        ending = [row.event(JobEventKind.STATE), row.event(JobEventKind.END)]
        await jobs.write_job(session, row, ending)
        await erasure.erase_job_events(session, job.file_id)


async def test_who_watches_a_job_whose_events_are_erased_is_told_its_end(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    job_id = await ingest(client)
    path = f"/v1/jobs/{job_id}/events"
    await read_pages(database, tenant.tenant_id, job_id, 1, 2)
    async with (
        opened(client, path) as first,
        opened(client, path, "1") as second,
        opened(client, "/v1/events") as of_tenant,
    ):
        assert [each.id for each in await take(first, 1)] == ["2"]
        assert [each.id for each in await take(second, 1)] == ["2"]
        await take(of_tenant, 1)
        await erase_events(database, tenant, job_id)
        for events in (first, second):
            (end,) = await take(events, 1)
            assert (end.event, end.id, end.data["state"]) == ("end", "4", "cancelled")
            with pytest.raises(StopAsyncIteration):
                await take(events, 1)
        with pytest.raises(StopAsyncIteration):
            await take(of_tenant, 1)
    answers = {
        last_id: (await client.get(path, headers={"Last-Event-ID": last_id})).status_code
        for last_id in ("1", "2", "3", "4")
    }
    assert answers == {"1": 409, "2": 409, "3": 409, "4": 204}
    async with opened(client, path) as events:
        assert [each.event for each in await take(events, 2)] == ["snapshot", "end"]


async def test_an_id_from_before_a_restore_is_refused_and_a_new_stream_begins(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """The dump has two pages; the viewer has seen three more, and others come after the restore."""
    job_id = await ingest(client)
    path = f"/v1/jobs/{job_id}/events"
    await read_pages(database, tenant.tenant_id, job_id, 1, 2)
    async with opened(client, "/v1/events") as events:
        (snapshot,) = await take(events, 1)
    async with database.transaction(tenant.system) as session:
        await session.execute(
            text("UPDATE job SET event_seq = event_seq + :gap WHERE id = :id"),
            {"gap": SEQ_GAP, "id": UUID(job_id)},
        )
    await read_pages(database, tenant.tenant_id, job_id, 3, 4, 5, 6)
    for lost in ("3", "5", "7"):
        refused = await client.get(path, headers={"Last-Event-ID": lost})
        assert refused.status_code == 409, refused.text
        assert "without an id" in refused.json()["remedy"]
    behind = [str(SEQ_GAP + number) for number in range(3, 7)]
    for last_id in ("1", "2"):
        expected = [*(["2"] if last_id == "1" else []), *behind]
        async with opened(client, path, last_id) as events:
            assert [each.id for each in await take(events, len(expected))] == expected
    place, _, era = snapshot.id.rpartition("-")
    for other in (f"{place}-{era[::-1]}x", place):
        refused = await client.get("/v1/events", params={"last_event_id": other})
        assert refused.status_code == 409, refused.text
        assert "restored" in refused.json()["detail"]
    async with opened(client, "/v1/events", snapshot.id) as events:
        assert [each.data["page"] for each in await take(events, 4)] == [3, 4, 5, 6]


@pytest.mark.parametrize("ahead", [1, 2**31 - 1, 2**63 - 1])
async def test_a_jobs_stream_is_not_resumed_from_where_it_has_not_come_to(
    client: httpx.AsyncClient, ahead: int
) -> None:
    job_id = await ingest(client)
    answer = await client.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": str(ahead)})
    assert answer.status_code == 409, answer.text
    assert "none of this job's" in answer.json()["detail"]
    assert "without an id" in answer.json()["remedy"]


async def test_only_who_may_see_the_file_may_follow_it(
    client: httpx.AsyncClient,
    api: ApiProcess,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    await client.post("/v1/collections", json={"name": "p", "visibility": "private"})
    hidden = (await client.post("/v1/files?name=a&collection=p", content=b"a")).json()["job"]["id"]
    shown = await ingest(client, "b")
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with client_of(api, clerk.api_key) as other:
        assert (await other.get(f"/v1/jobs/{hidden}/events")).status_code == 404
        async with opened(other, "/v1/events") as events:
            assert (await take(events, 1))[0].data["id"] == shown
            await read_pages(database, tenant.tenant_id, hidden, 1)
            await read_pages(database, tenant.tenant_id, shown, 1)
            seen = (await take(events, 1))[0]
            assert seen.data["job_id"] == shown


async def test_a_stream_ends_with_its_viewers_right_to_it(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(authorization, "RECHECK_SECONDS", 0.0)
    made = await client.post("/v1/api-keys", json={"name": "viewer", "scopes": ["jobs:read"]})
    key_id = UUID(made.json()["id"])
    job_id = UUID(await ingest(client))
    viewer = Caller(tenant.tenant_id, tenant.principal_id, key_id, frozenset({"jobs:read"}), True)

    async def heartbeats() -> AsyncGenerator[bytes, None]:
        while True:
            yield HEARTBEAT

    stream = while_allowed(heartbeats(), still_allowed(database, viewer, job_id))
    assert await anext(stream) == HEARTBEAT
    assert (await client.delete(f"/v1/api-keys/{key_id}")).status_code == 200
    assert [piece async for piece in stream] == []

    stranger = replace(viewer, principal_id=uuid4(), is_admin=False)
    assert not await still_allowed(database, stranger, job_id)()


async def test_a_ticket_opens_one_stream(client: httpx.AsyncClient, api: ApiProcess) -> None:
    job_id = await ingest(client)
    ticket = (await client.post("/v1/auth/stream-ticket")).json()["ticket"]
    path = f"/v1/jobs/{job_id}/events"
    async with httpx.AsyncClient(base_url=api.url, trust_env=False, timeout=30) as browser:
        async with opened(browser, path, ticket=ticket) as events:
            assert (await take(events, 1))[0].event == "snapshot"
        assert (await browser.get(path, params={"ticket": ticket})).status_code == 401
        assert (await browser.get("/v1/files", params={"ticket": ticket})).status_code == 401


async def test_streams_are_bounded_and_a_viewer_that_leaves_makes_room(
    api_environment: dict[str, str],
    api: ApiProcess,
    client: httpx.AsyncClient,
    tenant: TenantFixture,
) -> None:
    job_id = await ingest(client)
    path = f"/v1/jobs/{job_id}/events"
    environment = {**api_environment, "MUNIMENT_API__MAX_EVENT_STREAMS": "1"}
    small = start_api(api.home, environment)
    try:
        async with client_of(small, tenant.api_key) as viewer:
            async with opened(viewer, path) as events:
                await take(events, 1)
                refused = await viewer.get(path)
                assert refused.status_code == 429
                assert refused.headers["Retry-After"]
            async with asyncio.timeout(60):
                while (await viewer.post("/v1/search", json={"query": "x"})).is_success:
                    async with viewer.stream("GET", path) as response:
                        if response.status_code == 200:
                            break
                    await asyncio.sleep(0.1)
    finally:
        assert await asyncio.to_thread(stop_api, small) == 0


async def test_a_slow_viewer_is_cut_off_and_costs_a_bounded_queue() -> None:
    subscription = Subscription(0)
    for number in range(1, LONGEST_QUEUE + 2):
        subscription.offer(Told(number, "job", "page", "{}"))
    assert subscription.is_over
    assert await subscription.next(0.01) is None

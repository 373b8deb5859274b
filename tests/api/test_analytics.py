"""`/v1/analytics`: what is asked, as far as the tenant has it kept, and for nobody else."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import perf_counter
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from api.analytics import recording
from api.analytics.recording import QueryRecorder
from db.queries import analytics
from db.queries.analytics import Keeps, QueryKind, QueryPolicy
from db.session import Database
from muniment.sealing import KeyFile
from muniment.telemetry.metrics import REGISTRY
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant
from tests.patience import on_a_busy_machine
from worker.spent_queries import SpentQueries

QUERIES = "/v1/analytics/queries"
POLICY = "/v1/analytics/policy"
TEXTS = QueryPolicy(Keeps.TEXT, timedelta(days=30))


async def until_asked(client: httpx.AsyncClient, count: int) -> dict[str, list[dict[str, object]]]:
    """What is told once so many queries are written."""
    async with asyncio.timeout(on_a_busy_machine(20)):
        while True:
            found = (await client.get(QUERIES)).json()
            if found["searches"] + found["questions"] >= count:
                assert isinstance(found, dict)
                return found
            await asyncio.sleep(0.2)


async def ask(client: httpx.AsyncClient, *queries: str) -> None:
    for query in queries:
        answer = await client.post("/v1/search", json={"query": query, "mode": "lexical"})
        assert answer.status_code == 200


async def test_equal_queries_are_counted_without_their_words(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    await ask(client, "Where is Ada's zanzibar?", "where  is ada's ZANZIBAR?", "elm")
    await client.post("/v1/query", json={"query": "Who?", "generate": "extractive"})
    found = await until_asked(client, 4)
    assert (found["searches"], found["questions"]) == (3, 1)
    assert (found["zero_hit_rate"], found["unanswered_rate"]) == (1.0, 1.0)
    popular = found["popular"][0]
    assert (popular["asked"], popular["unanswered"], popular["text"]) == (2, 2, None)
    assert len(found["slow"]) == len(found["unanswered"]) == 3
    with psycopg.connect(postgres_dsn) as connection:
        rows = connection.execute(
            "SELECT asked_query::text FROM asked_query WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchall()
    assert len(rows) == 4
    assert not any("zanzibar" in row[0].lower() for row in rows)
    assert not any("zanzibar" in str(line).lower() for line in api.log_lines)


async def test_a_streamed_answer_is_counted_too(client: httpx.AsyncClient) -> None:
    body = {"query": "Who?", "generate": "extractive", "stream": True}
    await client.post("/v1/query", json=body)
    assert (await until_asked(client, 1))["questions"] == 1


async def test_words_are_kept_where_the_tenant_wants_them_and_go_when_it_does_not(
    client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    assert (await client.get(POLICY)).json() == {
        "keeps": "counts",
        "keep_days": 30,
        "is_own": False,
    }
    wanted = {"keeps": "text", "keep_days": 7}
    first = await client.put(POLICY, json=wanted, headers={"If-Match": '"0"'})
    assert (first.status_code, first.json()) == (200, {**wanted, "is_own": True})
    stale = await client.put(POLICY, json=wanted, headers={"If-Match": '"0"'})
    assert stale.status_code == 412
    await ask(client, "Oak", "oak")
    assert (await until_asked(client, 2))["popular"][0]["text"] == "oak"
    await client.put(POLICY, json={"keeps": "counts"}, headers={"If-Match": '"1"'})
    (popular,) = (await until_asked(client, 2))["popular"]
    assert popular["text"] is None
    await client.put(POLICY, json={"keeps": "nothing"})
    await ask(client, "elm")
    await asyncio.sleep(recording.WRITE_SECONDS + 0.5)
    with psycopg.connect(postgres_dsn) as connection:
        count = connection.execute(
            "SELECT count(*) FROM asked_query WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert count == (0,)


async def test_one_query_or_all_are_forgotten_when_that_is_asked(
    client: httpx.AsyncClient,
) -> None:
    await ask(client, "oak", "oak", "elm", "ash")
    found = await until_asked(client, 4)
    key = found["popular"][0]["key"]
    assert (await client.delete(QUERIES, params={"key": str(key)})).status_code == 204
    left = await until_asked(client, 0)
    assert key not in [each["key"] for each in left["popular"]]
    assert left["searches"] == 2
    assert (await client.delete(QUERIES)).status_code == 204
    assert (await until_asked(client, 0))["zero_hit_rate"] is None


async def test_they_are_for_administrators_of_the_tenant(
    api: ApiProcess, client: httpx.AsyncClient, postgres_dsn: str
) -> None:
    await ask(client, "oak")
    await until_asked(client, 1)
    async with client_of(api, make_tenant(postgres_dsn).api_key) as stranger:
        assert (await stranger.get(QUERIES)).json()["popular"] == []
        assert (await stranger.delete(QUERIES)).status_code == 204
    assert (await client.get(QUERIES)).json()["searches"] == 1
    person = (await client.post("/v1/principals", json={"kind": "user", "name": "ada"})).json()
    made = await client.post(
        "/v1/api-keys",
        json={
            "name": "k",
            "scopes": ["audit:read", "tenants:manage"],
            "principal_id": person["id"],
        },
    )
    async with client_of(api, made.json()["secret"]) as ada:
        assert (await ada.get(QUERIES)).status_code == 403
        assert (await ada.delete(QUERIES)).status_code == 403
        assert (await ada.put(POLICY, json={"keeps": "text"})).status_code == 403


@pytest.mark.parametrize(
    "wrong",
    [
        {"from": "2026-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"},
        {"from": "2020-11-02T00:00:00Z", "to": "2026-11-01T00:00:00Z"},
        {"from": "0001-01-01T00:00:00Z"},
        {"to": "0001-01-01T00:00:00Z"},
        {"from": "2026-11-02T00:00:00"},
        {"limit": "0"},
    ],
)
async def test_a_time_that_is_none_is_refused(
    client: httpx.AsyncClient, wrong: dict[str, str]
) -> None:
    assert (await client.get(QUERIES, params=wrong)).status_code in (400, 422)


@pytest.fixture
def recorder(database: Database, tmp_path_factory: pytest.TempPathFactory) -> QueryRecorder:
    keys = KeyFile(tmp_path_factory.mktemp("keys") / "tenants.json")
    return QueryRecorder(database, keys, TEXTS)


async def test_a_query_waits_less_than_a_millisecond_and_many_wait_for_no_more_memory(
    recorder: QueryRecorder, tenant: TenantFixture
) -> None:
    name = "muniment_queries_not_recorded_total"
    lost = REGISTRY.get_sample_value(name) or 0.0
    began = perf_counter()
    for number in range(recording.MOST_WAITING + 5):
        recorder.note(tenant.tenant_id, QueryKind.SEARCH, f"oak {number}", 1, 2.0)
    each = (perf_counter() - began) / recording.MOST_WAITING
    assert each < 0.001
    assert REGISTRY.get_sample_value(name) == lost + 5


async def test_a_tenant_that_is_gone_keeps_no_others_waiting(
    recorder: QueryRecorder, tenant: TenantFixture, database: Database
) -> None:
    recorder.note(uuid4(), QueryKind.SEARCH, "oak", 1, 2.0)
    recorder.note(tenant.tenant_id, QueryKind.SEARCH, "\udcff\0oak", 1, 2.0)
    await recorder.close()
    async with database.transaction(tenant.access) as session:
        assert await analytics.forget(session) == 1


async def test_what_was_asked_long_ago_is_forgotten(
    recorder: QueryRecorder, tenant: TenantFixture, database: Database, postgres_dsn: str
) -> None:
    for _ in range(3):
        recorder.note(tenant.tenant_id, QueryKind.SEARCH, "oak", 1, 2.0)
    await recorder.close()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE asked_query SET asked_at = %s WHERE id IN (SELECT id FROM asked_query"
            " WHERE tenant_id = %s LIMIT 2)",
            (datetime.now(UTC) - timedelta(days=31), tenant.tenant_id),
        )
    assert await SpentQueries(database, TEXTS, timedelta(days=365)).round() >= 2
    async with database.transaction(tenant.access) as session:
        assert await analytics.forget(session) == 1


async def test_what_many_rows_hold_is_forgotten_piece_by_piece(
    client: httpx.AsyncClient,
    tenant: TenantFixture,
    database: Database,
    postgres_dsn: str,
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO asked_query SELECT gen_random_uuid(), %s, now(), 'search', 'k', 'oak', 1, 2"
            " FROM generate_series(1, %s)",
            (tenant.tenant_id, analytics.FORGOTTEN_AT_ONCE * 2 + 1),
        )
    await client.put(POLICY, json={"keeps": "counts"})
    with psycopg.connect(postgres_dsn) as connection:
        left = "SELECT count(*), count(text) FROM asked_query WHERE tenant_id = %s"
        assert connection.execute(left, (tenant.tenant_id,)).fetchone() == (20_001, 0)
    assert (await client.delete(QUERIES, params={"key": b"k".hex() + "0" * 30})).status_code == 204
    async with database.transaction(tenant.access) as session:
        assert await analytics.forget(session, b"k") == analytics.FORGOTTEN_AT_ONCE
    assert (await client.delete(QUERIES)).status_code == 204
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute(left, (tenant.tenant_id,)).fetchone() == (0, 0)
        told = connection.execute(
            "SELECT payload FROM audit_event WHERE tenant_id = %s"
            " AND action = 'analytics.forgotten' ORDER BY at, id",
            (tenant.tenant_id,),
        ).fetchall()
    assert told == [({"is_one_query": True},), ({"is_one_query": False},)]


@pytest.mark.parametrize(("keeps", "left"), [("counts", (1, 0)), ("nothing", (0, 0))])
async def test_what_an_interrupted_change_left_is_forgotten_later(
    recorder: QueryRecorder,
    tenant: TenantFixture,
    database: Database,
    postgres_dsn: str,
    keeps: str,
    left: tuple[int, int],
) -> None:
    recorder.note(tenant.tenant_id, QueryKind.SEARCH, "oak", 1, 2.0)
    await recorder.close()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO analytics_policy VALUES (%s, %s, 30, 1, now())", (tenant.tenant_id, keeps)
        )
    await SpentQueries(database, TEXTS, timedelta(days=365)).round()
    with psycopg.connect(postgres_dsn) as connection:
        found = connection.execute(
            "SELECT count(*), count(text) FROM asked_query WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone()
    assert found == left


async def test_a_tenant_that_changes_its_policy_keeps_no_others_waiting_and_loses_nothing(
    recorder: QueryRecorder,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    database: Database,
) -> None:
    for each in (tenant, other_tenant):
        recorder.note(each.tenant_id, QueryKind.SEARCH, "oak", 1, 2.0)
    async with database.transaction(tenant.access) as session:
        await analytics.lock_policy(session)
        async with asyncio.timeout(on_a_busy_machine(5)):
            await recorder.write()
        async with database.transaction(other_tenant.access) as theirs:
            assert await analytics.forget(theirs) == 1
    await recorder.write()
    async with database.transaction(tenant.access) as session:
        assert await analytics.forget(session) == 1


async def test_a_stop_while_queries_are_written_loses_none(
    recorder: QueryRecorder,
    tenant: TenantFixture,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recording, "WRITE_SECONDS", 0.0)
    writing = asyncio.Event()
    hold_policy = analytics.hold_policy

    async def slowly(session: AsyncSession) -> bool:
        writing.set()
        await asyncio.sleep(0.2)
        return await hold_policy(session)

    monkeypatch.setattr(analytics, "hold_policy", slowly)
    recorder.note(tenant.tenant_id, QueryKind.SEARCH, "oak", 1, 2.0)
    running = asyncio.create_task(recorder.run())
    await writing.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await recorder.close()
    async with database.transaction(tenant.access) as session:
        assert await analytics.forget(session) == 1


async def test_long_queries_take_no_more_memory_than_many(
    recorder: QueryRecorder, tenant: TenantFixture
) -> None:
    name = "muniment_queries_not_recorded_total"
    lost = REGISTRY.get_sample_value(name) or 0.0
    words = "x" * (recording.MOST_CHARACTERS // 4)
    for _ in range(6):
        recorder.note(tenant.tenant_id, QueryKind.SEARCH, words, 1, 2.0)
    assert REGISTRY.get_sample_value(name) == lost + 2

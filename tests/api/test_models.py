"""Language models over HTTP: answers that stream, clients that leave, pauses and budgets."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import psycopg
import pytest

from db.bootstrap import bootstrap
from db.session import Database
from db.token_budgets import drop_budget, main, set_budget, standing
from muniment.errors import ConfigurationError
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant
from tests.model_process import ModelServer
from tests.patience import on_a_busy_machine
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION, SECRET
from tests.retrieval.published import Published, publish_file

ASK = {"query": QUESTION, "generate": "llm"}


@pytest.fixture(scope="module")
def api(models_api: ApiProcess) -> ApiProcess:
    return models_api


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> Published:
    return await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf"
    )


async def events_of(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, object]]]:
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


async def test_an_answer_streams_as_it_is_made(client: httpx.AsyncClient, api: ApiProcess) -> None:
    async with client.stream("POST", "/v1/query", json={**ASK, "stream": True}) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = [each async for each in events_of(response)]
    assert [name for name, _ in seen if name == "token"] != []
    assert seen[-1][0] == "done"
    whole = seen[-1][1]
    assert whole["answer"] == "".join(str(data["text"]) for name, data in seen if name == "token")
    assert whole["citations"] == [data for name, data in seen if name == "citation"]
    assert str(whole["answer"]).startswith(f"{PAID} [1].")
    assert whole["meta"]["provider"] == "hosted"  # type: ignore[index]
    assert whole["meta"]["model"] == "faithful@10,30"  # type: ignore[index]
    log = json.dumps(api.log_lines)
    assert SECRET not in log
    assert "crane" not in log


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_leaves_ends_the_models_work(
    client: httpx.AsyncClient, server: ModelServer, stream: bool
) -> None:
    await client.post("/v1/models/hosted/pause")
    before = len(server.seen)
    asking = asyncio.create_task(client.post("/v1/query", json={**ASK, "stream": stream}))
    async with asyncio.timeout(on_a_busy_machine(30)):
        while len(server.seen) == before:  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.05)
    asking.cancel()
    await asyncio.wait([asking])
    for _ in range(100):
        if server.seen[before]["outcome"] == "left":
            break
        await asyncio.sleep(0.1)
    assert server.seen[before]["outcome"] == "left"
    for _ in range(100):
        tokens = (await client.get("/v1/models")).json()["tokens"]
        if tokens["reserved"] == 0:
            break
        await asyncio.sleep(0.1)
    assert tokens["reserved"] == 0
    assert tokens["used"] > 0


async def test_a_pause_holds_for_the_tenant(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    listed = (await client.get("/v1/models")).json()
    assert [(each["name"], each["state"]) for each in listed["data"]] == [
        ("hosted", "available"),
        ("own", "available"),
    ]
    assert "url" not in json.dumps(listed)
    for _ in range(2):
        paused = await client.post("/v1/models/hosted/pause")
        assert (paused.status_code, paused.json()["state"]) == (200, "paused")
        assert not paused.json()["paused_by_operator"]
    assert (await stranger.get("/v1/models")).json()["data"][0]["state"] == "available"
    resumed = await client.post("/v1/models/hosted/resume")
    assert resumed.json()["state"] == "available"
    assert (await client.post("/v1/models/nothing/pause")).status_code == 404
    with psycopg.connect(postgres_dsn) as connection:
        told = connection.execute(
            "SELECT action, payload ->> 'model' FROM audit_event WHERE tenant_id = %s"
            " AND object_type = 'model' ORDER BY id",
            (tenant.tenant_id,),
        ).fetchall()
    assert told == [("model.paused", "hosted"), ("model.resumed", "hosted")]


async def test_the_operators_pause_holds_for_everybody(
    api: ApiProcess, client: httpx.AsyncClient, stranger: httpx.AsyncClient,
    tenant: TenantFixture, postgres_dsn: str,
) -> None:  # fmt: skip
    bootstrap(postgres_dsn, tenant=tenant.name, is_operator=True)
    await client.post("/v1/models/hosted/pause")
    try:
        seen = (await stranger.get("/v1/models")).json()["data"][0]
        assert (seen["state"], seen["paused_by_operator"]) == ("paused", True)
        assert (await stranger.post("/v1/models/hosted/resume")).status_code == 409
    finally:
        assert (await client.post("/v1/models/hosted/resume")).status_code == 200
    assert (await stranger.get("/v1/models")).json()["data"][0]["state"] == "available"


async def test_only_administrators_pause(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with client_of(api, clerk.api_key) as client:
        assert (await client.post("/v1/models/hosted/pause")).status_code == 403
        assert (await client.get("/v1/models")).status_code == 200


async def test_a_budget_of_the_tenants_own(
    client: httpx.AsyncClient, stranger: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    set_budget(postgres_dsn, tenant.name, 100)
    refused = await client.post("/v1/query", json=ASK)
    assert refused.status_code == 429
    assert refused.json()["type"] == "urn:muniment:problem:token-budget-exhausted"
    assert 0 < int(refused.headers["retry-after"]) <= 31 * 24 * 3600
    automatic = (await client.post("/v1/query", json={"query": QUESTION})).json()
    assert (automatic["meta"]["model"], automatic["meta"]["degraded"]) == ("extractive", True)
    assert (await client.get("/v1/models")).json()["tokens"]["limit"] == 100
    assert (await stranger.get("/v1/models")).json()["tokens"]["limit"] is None
    set_budget(postgres_dsn, tenant.name, None)
    answered = await client.post("/v1/query", json=ASK)
    assert answered.json()["meta"]["provider"] == "hosted"
    assert standing(postgres_dsn, tenant.name, 7) == (1050, None)
    drop_budget(postgres_dsn, tenant.name)
    assert standing(postgres_dsn, tenant.name, 7) == (1050, 7)


def test_the_command_for_budgets(
    tenant: TenantFixture,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MUNIMENT_DATABASE__OWNER_URL", postgres_dsn)
    for arguments, said in (
        (["--monthly", "5000"], "0 of 5000"),
        (["--monthly", "none"], "0 of any"),
        (["--default"], "0 of any"),
    ):
        assert main(["--tenant", tenant.name, *arguments]) == 0
        assert capsys.readouterr().out == f"tokens this month: {said}\n"
    with pytest.raises(ConfigurationError, match="there is no tenant"):
        main(["--tenant", "nobody", "--monthly", "1"])


async def test_a_collection_says_which_models_may_read_it(
    client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    plain = (await client.post("/v1/collections", json={"name": "plain"})).json()
    sealed = (
        await client.post("/v1/collections", json={"name": "s", "text_mode": "encrypted_text"})
    ).json()
    assert (plain["language_models"], sealed["language_models"]) == ("any", "none")
    allowed = await client.patch(
        f"/v1/collections/{sealed['id']}", json={"language_models": "local"}
    )
    assert allowed.json()["language_models"] == "local"
    now_sealed = await client.patch(
        f"/v1/collections/{plain['id']}", json={"text_mode": "encrypted_text"}
    )
    assert now_sealed.json()["language_models"] == "none"
    # On the way back nothing is allowed that nobody asked for.
    for collection, kept in ((plain, "none"), (sealed, "local")):
        back = await client.patch(f"/v1/collections/{collection['id']}", json={"text_mode": "full"})
        assert (back.json()["text_mode"], back.json()["language_models"]) == ("full", kept)
    wrong = await client.patch(f"/v1/collections/{plain['id']}", json={"language_models": "some"})
    assert wrong.status_code == 422
    await client.patch(f"/v1/collections/{tenant.collection_id}", json={"language_models": "none"})
    answer = (await client.post("/v1/query", json=ASK)).json()
    assert (answer["meta"]["model"], answer["meta"]["degraded"]) == ("extractive", True)


async def test_ten_that_ask_at_once_each_get_an_answer(client: httpx.AsyncClient) -> None:
    async def first_word() -> str:
        body = {**ASK, "stream": True}
        async with client.stream("POST", "/v1/query", json=body) as response:
            return [name async for name, _ in events_of(response)][-1]

    assert await asyncio.gather(*(first_word() for _ in range(10))) == ["done"] * 10

"""Answers of conversations that stream: resumed where a connection dropped, at either process, and ended
where nobody comes back."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from uuid import uuid4

import httpx
import psycopg
import pytest

from api.conversations.under_way import MOST_OF_TENANT, AnswersUnderWay
from db.queries import erasure
from db.session import Access, Database
from muniment.errors import TooManyRequests
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.test_conversations import PATH, begin
from tests.conftest import TenantFixture
from tests.model_process import ModelServer, serving_models
from tests.patience import on_a_busy_machine
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION
from tests.retrieval.published import Published, publish_file, set_state

RESUME_SECONDS = 2
Event = tuple[int, str, dict[str, object]]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with serving_models() as server:
        yield server


@pytest.fixture(scope="module")
def settings(api_environment: dict[str, str], server: ModelServer) -> dict[str, str]:
    providers = [
        {"name": name, "url": f"{server.url}/v1", "model": model, "local": True}
        for name, model in (("brisk", "faithful@10,80"), ("slow", "slow@20000"))
    ]
    return {
        **api_environment,
        "MUNIMENT_MODELS__PROVIDERS": json.dumps(providers),
        "MUNIMENT_CONVERSATIONS__RESUME_SECONDS": str(RESUME_SECONDS),
    }


@pytest.fixture(scope="module")
def api(settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiProcess]:
    api = start_api(tmp_path_factory.mktemp("conversing-api"), settings)
    yield api
    assert stop_api(api) == 0


@pytest.fixture(autouse=True)
async def published(database: Database, tenant: TenantFixture) -> Published:
    return await publish_file(
        database, tenant.access, tenant.collection_id, PASSAGES, name="harbour.pdf"
    )


async def events_of(response: httpx.Response) -> AsyncIterator[Event]:
    """With their numbers; 0 for what has none."""
    number, name = 0, ""
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            number = int(line.removeprefix("id: "))
        elif line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield number, name, json.loads(line.removeprefix("data: "))


async def first_events(client: httpx.AsyncClient, conversation_id: str, count: int) -> list[Event]:
    """Of an answer whose connection is dropped after so many."""
    body = {"query": QUESTION, "conversation_id": conversation_id, "stream": True}
    seen: list[Event] = []
    async with client.stream("POST", "/v1/query", json={**body, "generate": "llm"}) as response:
        assert response.status_code == 200, await response.aread()
        async with aclosing(events_of(response)) as events:
            async for event in events:
                seen.append(event)
                if len(seen) == count:
                    break
    return seen


async def rest(client: httpx.AsyncClient, path: str, after: int) -> list[Event]:
    async with asyncio.timeout(on_a_busy_machine(30)):
        async with client.stream("GET", path, headers={"Last-Event-ID": str(after)}) as response:
            assert response.status_code == 200
            return [event async for event in events_of(response)]


def path_of(seen: list[Event]) -> str:
    number, name, told = seen[0]
    assert (number, name) == (0, "message")
    return f"{PATH}/{told['conversation_id']}/messages/{told['message_id']}"


def assert_whole(events: list[Event], message: dict[str, object]) -> None:
    """Each once, in their order, and together the answer that is kept."""
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert events[-1][1] == "done"
    said = "".join(str(data["text"]) for _, name, data in events if name == "token")
    assert said == events[-1][2]["answer"] == message["text"]
    cited = [data for _, name, data in events if name == "citation"]
    assert cited == events[-1][2]["citations"] == message["citations"]
    assert said.startswith(PAID)


async def test_a_dropped_answer_goes_on_at_the_same_process(client: httpx.AsyncClient) -> None:
    seen = await first_events(client, await begin(client), 3)
    resumed = await rest(client, f"{path_of(seen)}/events", seen[-1][0])
    message = (await client.get(path_of(seen))).json()
    assert message["state"] == "completed"
    assert_whole(seen[1:] + resumed, message)
    end = resumed[-1][0]
    ended = await client.get(f"{path_of(seen)}/events", headers={"Last-Event-ID": str(end)})
    assert ended.status_code == 204
    # Out of PostgreSQL, now that it has ended: from anywhere.
    for after in (0, 1, end - 1):
        again = await rest(client, f"{path_of(seen)}/events", after)
        assert [number for number, _, _ in again] == list(range(after + 1, end + 1))
    for wrong in ("-1", "x", str(2**70)):
        answer = await client.get(f"{path_of(seen)}/events", headers={"Last-Event-ID": wrong})
        assert answer.status_code == 400, wrong


async def test_a_dropped_answer_goes_on_at_another_process(
    client: httpx.AsyncClient,
    api: ApiProcess,
    settings: dict[str, str],
    tenant: TenantFixture,
) -> None:
    second = start_api(api.home, settings)
    try:
        async with client_of(second, tenant.api_key) as other:
            seen = await first_events(client, await begin(client), 3)
            resumed = await rest(other, f"{path_of(seen)}/events", seen[-1][0])
            message = (await other.get(path_of(seen))).json()
    finally:
        assert stop_api(second) == 0
    assert_whole(seen[1:] + resumed, message)


async def test_an_answer_that_nobody_comes_back_for_ends_the_models_work(
    client: httpx.AsyncClient, server: ModelServer
) -> None:
    await client.post("/v1/models/brisk/pause")
    before = len(server.seen)
    conversation_id = await begin(client)
    seen = await first_events(client, conversation_id, 1)
    async with asyncio.timeout(on_a_busy_machine(30)):
        while len(server.seen) == before or server.seen[before]["outcome"] != "left":  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.2)
        while (await client.get("/v1/models")).json()["tokens"]["reserved"] > 0:  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.1)
        while (await client.get(path_of(seen))).json()["state"] == "generating":  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.1)
    assert (await client.get(path_of(seen))).json()["state"] == "interrupted"
    (end,) = await rest(client, f"{path_of(seen)}/events", 0)
    assert end[1:] == ("end", {"state": "interrupted"})


async def test_a_file_that_is_erased_while_an_answer_is_made_is_in_none_of_it(
    client: httpx.AsyncClient,
    database: Database,
    tenant: TenantFixture,
    published: Published,
    postgres_dsn: str,
) -> None:
    seen = await first_events(client, await begin(client), 3)
    await set_state(database, tenant.access, published.file_id, "erasing")
    async with database.transaction(Access(tenant.tenant_id)) as session:
        await erasure.erase_conversations(session, published.file_id)
    for after in (0, seen[-1][0]):
        (end,) = await rest(client, f"{path_of(seen)}/events", after)
        assert end[1:] == ("end", {"state": "forgotten"})
        assert end[0] > after
    message = (await client.get(path_of(seen))).json()
    assert (message["state"], message["text"]) == ("forgotten", None)
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "SELECT count(*) FROM answer_event WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert left == (0,)


async def test_what_may_not_be_read_any_more_is_not_resumed(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture, published: Published
) -> None:
    seen = await first_events(client, await begin(client), 3)
    await set_state(database, tenant.access, published.file_id, "trashed")
    (end,) = await rest(client, f"{path_of(seen)}/events", 0)
    assert end[1:] == ("end", {"state": "withheld"})


@pytest.mark.slow
async def test_an_answer_whose_process_is_killed_is_told_as_interrupted(
    client: httpx.AsyncClient,
    api: ApiProcess,
    settings: dict[str, str],
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    second = start_api(api.home, settings)
    async with client_of(second, tenant.api_key) as other:
        await other.post("/v1/models/brisk/pause")
        seen = await first_events(other, await begin(client), 1)
    second.process.kill()
    second.process.wait()
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE conversation_message SET alive_at = now() - interval '1 minute'"
            " WHERE tenant_id = %s AND state = 'generating'",
            (tenant.tenant_id,),
        )
    assert (await client.get(path_of(seen))).json()["state"] == "interrupted"
    for after in (0, 7):
        (end,) = await rest(client, f"{path_of(seen)}/events", after)
        assert end[1:] == ("end", {"state": "interrupted"})
        assert end[0] > after


@pytest.mark.slow
@pytest.mark.parametrize("stream", [True, False])
async def test_a_stopping_process_ends_what_it_makes(
    client: httpx.AsyncClient,
    api: ApiProcess,
    settings: dict[str, str],
    tenant: TenantFixture,
    stream: bool,
) -> None:
    second = start_api(api.home, settings)
    conversation_id = await begin(client)
    async with client_of(second, tenant.api_key) as other:
        await other.post("/v1/models/brisk/pause")
        body = {"query": QUESTION, "conversation_id": conversation_id, "generate": "llm"}
        asking = asyncio.create_task(other.post("/v1/query", json={**body, "stream": stream}))
        async with asyncio.timeout(on_a_busy_machine(30)):
            while len((await client.get(f"{PATH}/{conversation_id}/messages")).json()["data"]) < 2:  # noqa: ASYNC110 - a server's answer
                await asyncio.sleep(0.1)
        assert await asyncio.to_thread(stop_api, second) == 0
        await asyncio.wait([asking])
        asking.exception()
    newest = (await client.get(f"{PATH}/{conversation_id}/messages")).json()["data"][0]
    assert newest["state"] == "interrupted"
    assert (await client.get("/v1/models")).json()["tokens"]["reserved"] == 0


async def test_a_client_that_leaves_a_whole_answer_ends_it(
    client: httpx.AsyncClient, server: ModelServer
) -> None:
    await client.post("/v1/models/brisk/pause")
    before = len(server.seen)
    body = {"query": QUESTION, "conversation_id": await begin(client), "generate": "llm"}
    asking = asyncio.create_task(client.post("/v1/query", json=body))
    async with asyncio.timeout(on_a_busy_machine(30)):
        while len(server.seen) == before:  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.05)
        asking.cancel()
        while server.seen[before]["outcome"] != "left":  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.1)


async def test_a_client_with_a_key_that_leaves_comes_back_for_a_whole_answer(
    client: httpx.AsyncClient, server: ModelServer
) -> None:
    before = len(server.seen)
    body = {"query": QUESTION, "conversation_id": await begin(client), "generate": "llm"}
    header = {"Idempotency-Key": uuid4().hex}
    asking = asyncio.create_task(client.post("/v1/query", json=body, headers=header))
    async with asyncio.timeout(on_a_busy_machine(30)):
        while len(server.seen) == before:  # noqa: ASYNC110 - a server's answer
            await asyncio.sleep(0.01)
        asking.cancel()
        again = await client.post("/v1/query", json=body, headers=header)
        while again.status_code == 409 and "still being made" in again.text:
            await asyncio.sleep(0.1)
            again = await client.post("/v1/query", json=body, headers=header)
    assert again.status_code == 200, again.text
    assert again.json()["answer"].startswith(PAID)


def test_one_tenant_does_not_take_every_place() -> None:
    under_way = AnswersUnderWay()
    tenant, other = uuid4(), uuid4()
    for _ in range(MOST_OF_TENANT):
        under_way.reserve(tenant)
    with pytest.raises(TooManyRequests):
        under_way.reserve(tenant)
    under_way.reserve(other)
    under_way.release(tenant)
    under_way.reserve(tenant)

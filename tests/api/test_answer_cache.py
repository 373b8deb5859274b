"""What was answered is told again, to whom it was told, until anything changes that could change it."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text

from db.models import Blob, PageRow
from db.session import Database
from muniment.contracts.documents import Line, Page, PageBatch, PageSource
from muniment.settings import load_settings
from muniment.stores import Stores, open_stores
from tests.api.conftest import ApiProcess, client_of
from tests.conftest import TenantFixture, make_tenant
from tests.patience import on_a_busy_machine
from tests.retrieval.published import Published, publish_file, publish_version

SENTENCE = "The harbour cranes were paid for by the widow Van der Meer."
SEARCH = {"query": "harbour cranes", "mode": "lexical"}
QUESTION = {"query": "Who paid for the harbour cranes?"}

Response = dict[str, Any]
"""As JSON."""


async def search(client: httpx.AsyncClient, **changed: object) -> Response:
    answer = await client.post("/v1/search", json={**SEARCH, **changed})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def ask(client: httpx.AsyncClient, **changed: object) -> Response:
    answer = await client.post("/v1/query", json={**QUESTION, **changed})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def is_cached(response: Response) -> bool:
    return bool(response["meta"]["cached"] if "meta" in response else response["cached"])


async def told_again(again: Callable[[], Awaitable[Response]]) -> Response:
    """Kept behind the first answer, so it may take a moment."""
    async with asyncio.timeout(on_a_busy_machine(20)):
        while True:
            found = await again()
            if is_cached(found):
                return found
            await asyncio.sleep(0.02)


async def cached_rate(client: httpx.AsyncClient) -> float:
    """Once some is told: it is written behind the requests."""
    async with asyncio.timeout(on_a_busy_machine(20)):
        while True:
            rate = (await client.get("/v1/analytics/queries")).json()["cached_rate"]
            if rate:
                return float(rate)
            await asyncio.sleep(0.2)


async def events(client: httpx.AsyncClient) -> list[tuple[str, Response]]:
    answer = await client.post("/v1/query", json={**QUESTION, "stream": True})
    lines = [each for each in answer.text.splitlines() if each.startswith(("event: ", "data: "))]
    return [
        (name.removeprefix("event: "), json.loads(data.removeprefix("data: ")))
        for name, data in zip(lines[::2], lines[1::2], strict=True)
    ]


@pytest.fixture
def stores(api: ApiProcess, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """The stores of the API process, opened a second time as a worker does."""
    monkeypatch.setenv("MUNIMENT_OBJECTS__ROOT", str(api.home / "objects"))
    monkeypatch.setenv("MUNIMENT_KEYS__ROOT", str(api.home / "keys"))
    return open_stores(load_settings())


@pytest.fixture
async def published(database: Database, tenant: TenantFixture, stores: Stores) -> Published:
    """A file with the answer, and the page that proves it."""
    published = await publish_file(
        database, tenant.access, tenant.collection_id, [SENTENCE], name="harbour.pdf"
    )
    page = Page(
        page=1, width=595, height=842, source=PageSource.OCR, engine="rapidocr", confidence=0.9,
        text=SENTENCE, lines=(Line(text=SENTENCE, bbox=(10, 20, 30, 40)),),
    )  # fmt: skip
    content = PageBatch(pages=(page,)).model_dump_json().encode()
    sealed = await stores.blobs.put_bytes(tenant.tenant_id, content)
    async with database.transaction(tenant.system) as session:
        session.add(
            Blob(
                id=sealed.blob_id, tenant_id=tenant.tenant_id, kind="artifact", size=sealed.size,
                sha256=sealed.sha256,
            )
        )  # fmt: skip
        await session.flush()
        session.add(
            PageRow(
                tenant_id=tenant.tenant_id, version_id=published.version_id, page=1, width=595,
                height=842, source="ocr", engine="rapidocr", blob_id=sealed.blob_id,
            )
        )  # fmt: skip
    return published


@dataclass(frozen=True)
class Colleague:
    """Somebody else of the tenant, who is no administrator."""

    principal_id: UUID
    client: httpx.AsyncClient


@pytest.fixture
async def colleague(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> AsyncIterator[Colleague]:
    made = make_tenant(postgres_dsn, tenant.name, principal="colleague", is_admin=False)
    async with client_of(api, made.api_key) as client:
        yield Colleague(made.principal_id, client)


async def test_a_search_is_told_again_as_it_was(
    client: httpx.AsyncClient, published: Published
) -> None:
    first = await search(client)
    again = await told_again(lambda: search(client))
    assert not first["cached"]
    assert again["data"] == first["data"] != []
    assert set(again["timings_ms"]) == {"cache", "total"}
    assert {"cache", "lexical", "total"} <= set(first["timings_ms"])
    others = ({"top_k": 1}, {"query": "Harbour cranes"}, {"explain": True}, {"cache": False})
    for other in (*others, {"query": "harbour  cranes"}):
        assert not is_cached(await search(client, **other)), other


async def test_an_answer_is_told_again_whole_and_as_it_streamed(
    client: httpx.AsyncClient, published: Published
) -> None:
    first = await ask(client)
    again = await told_again(lambda: ask(client))
    assert first["citations"][0]["verified"]
    assert {key: again[key] for key in first if key != "meta"} == {
        key: first[key] for key in first if key != "meta"
    }
    assert again["meta"]["tokens"] == {"prompt": 0, "completion": 0}
    assert set(again["meta"]["timings_ms"]) == {"cache", "total"}
    streamed = await events(client)
    assert [name for name, _ in streamed] == ["token", "citation", "done"]
    assert streamed[0][1]["text"] == first["answer"]
    assert streamed[1][1] == first["citations"][0]
    assert streamed[2][1]["citations"] == first["citations"]
    assert is_cached(streamed[2][1])
    assert is_cached(await ask(client, query=" Who paid\nfor the harbour cranes? "))
    assert not is_cached(await ask(client, cache=False))


async def test_another_question_is_told_it_where_the_tenant_set_that(
    client: httpx.AsyncClient, published: Published
) -> None:
    alike = "Please tell me: who paid for harbour cranes?"
    first = await told_again(lambda: ask(client))
    assert not is_cached(await ask(client, query=alike, top_k=9))
    policy = {"least_likeness": 0.85}
    assert (await client.put("/v1/alike-questions/policy", json=policy)).is_success
    # Kept anew, with its vector: what was kept before has none.
    assert is_cached(await ask(client))
    # Durable before another asks: else that one is kept by itself.
    await told_again(lambda: ask(client, top_k=7))
    again = await ask(client, query=alike, top_k=7)
    assert again["meta"]["cached"] == "semantic"
    assert 0 < again["meta"]["cached_distance"] <= 0.15
    assert again["citations"] == first["citations"]
    assert not is_cached(await ask(client, query=alike, top_k=7, cache=False))
    assert not is_cached(await ask(client, query="Who did not pay for them?", top_k=7))


async def test_what_streamed_is_kept_too(client: httpx.AsyncClient, published: Published) -> None:
    first = await events(client)
    again = await told_again(lambda: ask(client))
    assert again["answer"] == first[-1][1]["answer"]


async def test_that_nothing_was_found_is_told_again_until_something_is(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    assert (await told_again(lambda: search(client)))["data"] == []
    assert (await told_again(lambda: ask(client)))["citations"] == []
    await publish_file(database, tenant.access, tenant.collection_id, [SENTENCE])
    assert len((await search(client))["data"]) == 1
    assert len((await ask(client))["citations"]) == 1


async def test_an_answer_that_no_page_proves_is_not_kept(
    client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, [SENTENCE])
    assert not (await ask(client))["citations"][0]["verified"]
    await told_again(lambda: search(client))  # kept after it
    assert not is_cached(await ask(client))


async def test_nobody_learns_what_others_asked(
    client: httpx.AsyncClient,
    stranger: httpx.AsyncClient,
    colleague: Colleague,
    published: Published,
) -> None:
    await told_again(lambda: search(client))
    await told_again(lambda: ask(client))
    for other in (colleague.client, stranger):
        assert not is_cached(await search(other))
        assert not is_cached(await ask(other))
    assert len((await told_again(lambda: search(colleague.client)))["data"]) == 1
    assert (await told_again(lambda: search(stranger)))["data"] == []


Change = Callable[[httpx.AsyncClient, Published, TenantFixture], Awaitable[httpx.Response]]

CHANGES: dict[str, Change] = {
    "a name": lambda client, file, _: client.patch(
        f"/v1/files/{file.file_id}", json={"name": "quay.pdf"}
    ),
    "labels": lambda client, file, _: client.patch(
        f"/v1/files/{file.file_id}", json={"labels": ["law"]}
    ),
    "metadata": lambda client, file, _: client.patch(
        f"/v1/files/{file.file_id}", json={"metadata": {"year": 1854}}
    ),
    "another collection": lambda client, _, __: client.post(
        "/v1/collections", json={"name": "other"}
    ),
    "a collection's visibility": lambda client, _, tenant: client.patch(
        f"/v1/collections/{tenant.collection_id}", json={"visibility": "private"}
    ),
    "which models may read": lambda client, _, tenant: client.patch(
        f"/v1/collections/{tenant.collection_id}", json={"language_models": "none"}
    ),
    "a grant": lambda client, file, tenant: client.post(
        "/v1/grants",
        json={
            "principal_id": str(tenant.principal_id),
            "file_id": str(file.file_id),
            "level": "read",
        },
    ),
    "synonyms": lambda client, _, __: client.put(
        "/v1/synonyms", json={"rules": [{"words": ["harbour", "port"]}]}
    ),
    "the trash": lambda client, file, _: client.delete(f"/v1/files/{file.file_id}"),
    "what was in the trash": lambda client, file, _: client.post(
        f"/v1/files/{file.file_id}/restore"
    ),
    "an erasure": lambda client, file, _: client.delete(f"/v1/files/{file.file_id}?permanent=true"),
}
"""One after the other."""


async def test_nothing_that_was_kept_outlives_a_change(
    client: httpx.AsyncClient, published: Published, tenant: TenantFixture
) -> None:
    for name, change in CHANGES.items():
        before = await told_again(lambda: search(client))
        await told_again(lambda: ask(client))
        done = await change(client, published, tenant)
        assert done.is_success, done.text
        found, answered = await search(client), await ask(client)
        assert (is_cached(found), is_cached(answered)) == (False, False), name
        is_gone = name in {"the trash", "an erasure"}
        assert (found["data"] == []) is (answered["citations"] == []) is is_gone, name
        assert name != "a name" or found["data"][0]["name"] != before["data"][0]["name"]


async def test_a_collection_that_is_deleted_is_no_filter_any_more(
    client: httpx.AsyncClient, published: Published
) -> None:
    made = (await client.post("/v1/collections", json={"name": "empty"})).json()
    await told_again(lambda: search(client, collection="empty"))
    assert (await client.delete(f"/v1/collections/{made['id']}")).is_success
    assert not is_cached(await search(client, collection="empty"))


async def test_a_new_version_and_another_index_are_searched_at_once(
    client: httpx.AsyncClient,
    database: Database,
    published: Published,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    await told_again(lambda: search(client))
    changed = [f"{SENTENCE} And by the harbour's own town."]
    await publish_version(database, tenant.access, published.file_id, 2, changed)
    found = await search(client)
    assert (found["cached"], found["data"][0]["version"]) == (False, 2)
    await told_again(lambda: search(client))
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "INSERT INTO index_version (id, tenant_id, model_id, model_version, dimensions, state,"
            " created_at, activation, is_paused, passages_total, passages_done, filled_until)"
            " VALUES (gen_random_uuid(), %s, 'other', '1', 384, 'active', now(), 'manual', false,"
            " 0, 0, '')",
            (tenant.tenant_id,),
        )
    assert not is_cached(await search(client))


async def test_rights_that_are_withdrawn_end_what_was_told(
    client: httpx.AsyncClient, colleague: Colleague, published: Published, tenant: TenantFixture
) -> None:
    """By each of the ways to have them."""
    private = {"visibility": "private"}
    await client.patch(f"/v1/collections/{tenant.collection_id}", json=private)

    async def sees(count: int) -> None:
        found = await search(colleague.client)
        assert (found["cached"], len(found["data"])) == (False, count)
        await told_again(lambda: search(colleague.client))

    await sees(0)
    person = str(colleague.principal_id)
    given = {"principal_id": person, "file_id": str(published.file_id), "level": "read"}
    grant = (await client.post("/v1/grants", json=given)).json()
    await sees(1)
    await client.delete(f"/v1/grants/{grant['id']}")
    await sees(0)
    group = (await client.post("/v1/groups", json={"name": "lawyers"})).json()
    collection = {"group_id": group["id"], "collection_id": str(tenant.collection_id)}
    await client.post("/v1/grants", json={**collection, "level": "read"})
    await sees(0)
    member = f"/v1/groups/{group['id']}/members/{person}"
    assert (await client.put(member)).is_success
    await sees(1)
    assert (await client.delete(member)).is_success
    await sees(0)
    assert (await client.put(member)).is_success
    await sees(1)
    await client.delete(f"/v1/groups/{group['id']}")
    await sees(0)
    assert (await client.patch(f"/v1/principals/{person}", json={"is_admin": True})).is_success
    await sees(1)
    assert (await client.patch(f"/v1/principals/{person}", json={"is_admin": False})).is_success
    await sees(0)


async def test_what_is_told_again_is_audited_and_counted(
    client: httpx.AsyncClient, api: ApiProcess, published: Published, database: Database,
    tenant: TenantFixture,
) -> None:  # fmt: skip
    await search(client)
    await told_again(lambda: search(client))
    async with database.transaction(tenant.access) as session:
        payloads = await session.scalars(
            text("SELECT payload FROM audit_event WHERE action = 'search.performed' ORDER BY at")
        )
        told = [payload["cached"] for payload in payloads]
    assert (told[0], told[-1]) == (False, True)
    counted = (await client.get("/metrics")).text
    assert 'muniment_cached_responses_total{kind="search",outcome="hit"}' in counted
    assert 0 < await cached_rate(client) < 1
    log = json.dumps(api.log_lines)
    assert "crane" not in log
    assert "widow" not in log

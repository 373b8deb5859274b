"""Collections as vector stores: the `openai` package makes them, fills them, polls and searches them."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import openai
import psycopg
import pytest
from openai import AsyncOpenAI

from db.session import Database
from tests.api.conftest import ApiProcess, audit_actions
from tests.api.openai_clients import async_openai_client, openai_client
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import Published, private_collection, publish_file, set_state

CRANES = "The widow Van der Meer paid for the harbour cranes in 1871."
TULIPS = "Tulips are planted in November, four inches deep."


@pytest.fixture
async def package(api: ApiProcess, tenant: TenantFixture) -> AsyncIterator[AsyncOpenAI]:
    async with async_openai_client(api, tenant.api_key) as package:
        yield package


def shown(published: Published) -> str:
    return f"file-{published.file_id.hex}"


def store_of(collection_id: UUID) -> str:
    return f"vs_{collection_id.hex}"


def test_a_store_is_made_filled_polled_and_searched(
    api: ApiProcess, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """From its upload on, by the blocking client; what reading the file would write is written by hand."""
    with openai_client(api, tenant.api_key) as package:
        store = package.vector_stores.create(name="Leases", metadata={"matter": "A-17"})
        assert (store.name, store.metadata) == ("Leases", {"matter": "A-17"})
        assert (store.status, store.file_counts.total) == ("completed", 0)
        file = package.files.create(file=("lease.txt", b"It ends."), purpose="assistants")
        held = package.vector_stores.files.create(
            store.id, file_id=file.id, attributes={"year": 2026, "signed": True}
        )
        assert (held.id, held.status, held.last_error) == (file.id, "in_progress", None)
        assert held.attributes == {"year": 2026, "signed": True}
        filling = package.vector_stores.retrieve(store.id)
        assert (filling.status, filling.file_counts.in_progress) == ("in_progress", 1)
        assert filling.usage_bytes == 8
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "UPDATE file SET state = 'ready' WHERE tenant_id = %s", (tenant.tenant_id,)
            )
        ready = package.vector_stores.files.poll(file.id, vector_store_id=store.id)
        assert ready.status == "completed"
        assert package.vector_stores.retrieve(store.id).file_counts.completed == 1
        found = package.vector_stores.search(store.id, query="when does it end?")
        assert found.data == [], "nothing of it was read"
        removed = package.vector_stores.files.delete(file.id, vector_store_id=store.id)
        assert removed.deleted
        assert package.files.retrieve(file.id).id == file.id, "the file itself stays"
        assert package.vector_stores.delete(store.id).deleted
        with pytest.raises(openai.NotFoundError):
            package.vector_stores.retrieve(store.id)
    acts = audit_actions(postgres_dsn, tenant.tenant_id)
    for action in (
        "collection.created",
        "collection.files_attached",
        "search.performed",
        "collection.file_detached",
        "collection.deleted",
    ):
        assert acts.count(action) == 1, action


async def test_a_file_is_in_as_many_stores_as_one_likes(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    cranes = await publish_file(database, tenant.access, tenant.collection_id, [CRANES])
    tulips = await publish_file(database, tenant.access, tenant.collection_id, [TULIPS])
    both = await package.vector_stores.create(
        name="both", file_ids=[shown(cranes), shown(tulips), shown(cranes)]
    )
    harbour = await package.vector_stores.create(name="harbour", file_ids=[shown(cranes)])
    assert both.file_counts.total == 2
    for store, files in ((both, {shown(cranes), shown(tulips)}), (harbour, {shown(cranes)})):
        listed = [each.id async for each in package.vector_stores.files.list(store.id, limit=1)]
        assert sorted(listed) == sorted(files)
        found = await package.vector_stores.search(store.id, query="cranes tulips")
        assert {each.file_id for each in found.data} == files
    own = await package.vector_stores.search(store_of(tenant.collection_id), query="cranes tulips")
    assert {each.file_id for each in own.data} == {shown(cranes), shown(tulips)}
    with pytest.raises(openai.ConflictError) as refused:
        await package.vector_stores.files.delete(
            shown(cranes), vector_store_id=store_of(tenant.collection_id)
        )
    assert "lies in this collection" in refused.value.message
    await package.files.delete(shown(cranes))
    found = await package.vector_stores.search(harbour.id, query="cranes")
    assert found.data == []
    assert (await package.vector_stores.retrieve(harbour.id)).file_counts.total == 0


async def test_results_say_where_they_are_from_and_how_near(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    found_file = await publish_file(
        database, tenant.access, tenant.collection_id, [CRANES, TULIPS], name="harbour.pdf",
        metadata={"year": 1871, "nested": {"not": "plain"}, "openai_purpose": "user_data"},
    )  # fmt: skip
    store = store_of(tenant.collection_id)
    results = await package.vector_stores.search(
        store, query=["who paid for", "the harbour cranes?"], max_num_results=2
    )
    best, *_ = results.data
    assert (best.file_id, best.filename) == (shown(found_file), "harbour.pdf")
    assert [(each.type, each.text) for each in best.content] == [("text", CRANES)]
    assert best.attributes == {"year": 1871}
    assert results.model_extra is not None
    assert results.model_extra["muniment"] == {
        "mode_used": "hybrid",
        "degraded": False,
        "reasons": [],
        "truncated": False,
    }
    scores = [each.score for each in results.data]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= each <= 1 for each in scores)
    one = await package.vector_stores.search(store, query="harbour cranes", max_num_results=1)
    assert len(one.data) == 1
    none = await package.vector_stores.search(
        store, query="harbour cranes", ranking_options={"score_threshold": 1.0}
    )
    assert all(each.score == 1.0 for each in none.data)
    by_words = await package.vector_stores.search(
        store,
        query="harbour cranes",
        ranking_options={"hybrid_search": {"embedding_weight": 0, "text_weight": 1}},  # type: ignore[typeddict-unknown-key] # of the search tool
    )
    assert by_words.data[0].content[0].text == CRANES


FILTERED = [
    ({"type": "eq", "key": "year", "value": 2021}, {"b"}),
    ({"type": "ne", "key": "year", "value": 2021}, {"a", "c"}),
    ({"type": "gt", "key": "year", "value": 2020}, {"b"}),
    ({"type": "gte", "key": "year", "value": 2020}, {"a", "b"}),
    ({"type": "lt", "key": "year", "value": 2021}, {"a"}),
    ({"type": "lte", "key": "year", "value": 2021.0}, {"a", "b"}),
    ({"type": "in", "key": "region", "value": ["us", "eu"]}, {"a", "b"}),
    ({"type": "nin", "key": "region", "value": ["us"]}, {"b", "c"}),
    ({"type": "eq", "key": "signed", "value": True}, {"a"}),
    ({"type": "eq", "key": 'odd "key" \\ $.x', "value": "odd"}, {"c"}),
    (
        {
            "type": "and",
            "filters": [
                {"type": "eq", "key": "region", "value": "eu"},
                {"type": "gte", "key": "year", "value": 2021},
            ],
        },
        {"b"},
    ),
    (
        {
            "type": "or",
            "filters": [
                {"type": "eq", "key": "region", "value": "us"},
                {
                    "type": "and",
                    "filters": [
                        {"type": "ne", "key": "region", "value": "us"},
                        {"type": "lt", "key": "year", "value": 3000},
                    ],
                },
            ],
        },
        {"a", "b"},
    ),
]


async def test_filters_are_applied_before_the_best_are_taken(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    noted = {
        "a": {"year": 2020, "region": "us", "signed": True},
        "b": {"year": 2021, "region": "eu", "signed": False},
        "c": {'odd "key" \\ $.x': "odd"},
    }
    names = {}
    for name, metadata in noted.items():
        published = await publish_file(
            database,
            tenant.access,
            tenant.collection_id,
            [CRANES],
            metadata=metadata,  # type: ignore[arg-type] # JSON
        )
        names[shown(published)] = name
        # Nearer to the question, and never of those that are wanted.
        await publish_file(
            database, tenant.access, tenant.collection_id, [f"Cranes, cranes, {name} cranes"],
            metadata={"year": 1, "region": "us", "signed": "no", 'odd "key" \\ $.x': 1},
        )  # fmt: skip
    store = store_of(tenant.collection_id)
    wanted = {"type": "in", "key": "year", "value": [2020, 2021]}
    for filters, expected in FILTERED:
        both = filters if expected - {"a", "b"} else {"type": "and", "filters": [filters, wanted]}
        found = await package.vector_stores.search(
            store,
            query="harbour cranes",
            filters=both,
            max_num_results=50,  # type: ignore[arg-type] # as written
        )
        seen = {names[each.file_id] for each in found.data if each.file_id in names}
        assert seen == expected, filters


async def test_filters_that_mean_nothing_are_refused(
    client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    path = f"/openai/v1/vector_stores/{store_of(tenant.collection_id)}/search"
    deep: dict[str, object] = {"type": "eq", "key": "a", "value": 1}
    for _ in range(10):
        deep = {"type": "and", "filters": [deep]}
    many = {"type": "or", "filters": [{"type": "eq", "key": "a", "value": 1}] * 101}
    for filters in (
        {},
        deep,
        many,
        {"type": ["eq"], "key": "a", "value": 1},
        {"type": "like", "key": "a", "value": 1},
        {"type": "eq", "key": "", "value": 1},
        {"type": "eq", "key": "a\0", "value": 1},
        {"type": "eq", "key": "a", "value": None},
        {"type": "eq", "key": "a", "value": {"b": 1}},
        {"type": "eq", "key": "a", "value": 1e300},
        {"type": "gt", "key": "a", "value": True},
        {"type": "in", "key": "a", "value": []},
        {"type": "in", "key": "a", "value": "b"},
        {"type": "and", "filters": []},
        {"type": "and", "filters": [1]},
        {"type": "eq", "key": "a", "value": 1, "more": 2},
    ):
        answer = await client.post(path, json={"query": "x", "filters": filters})
        assert answer.status_code == 400, (filters, answer.text)
        assert answer.json()["error"]["param"] == "filters", filters


async def test_queries_too_long_in_all_are_refused(
    client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    path = f"/openai/v1/vector_stores/{store_of(tenant.collection_id)}/search"
    answer = await client.post(path, json={"query": ["a" * 4096] * 10})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == "query"


async def test_attributes_that_are_not_all_shown_are_not_replaced(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    published = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        [CRANES],
        metadata={f"k{number:02}": number for number in range(17)},
    )
    store = await package.vector_stores.create(name="s", file_ids=[shown(published)])
    with pytest.raises(openai.ConflictError):
        await package.vector_stores.files.update(
            shown(published), vector_store_id=store.id, attributes={"a": 1}
        )
    with pytest.raises(openai.BadRequestError):
        await package.vector_stores.files.update(
            shown(published), vector_store_id=store.id, attributes={"openai_purpose": "x"}
        )


async def test_attributes_are_the_files_metadata(
    package: AsyncOpenAI, client: httpx.AsyncClient, database: Database, tenant: TenantFixture
) -> None:
    published = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        [CRANES],
        metadata={"kept": {"deep": 1}, "a": 1},
    )
    store = await package.vector_stores.create(name="s", file_ids=[shown(published)])
    changed = await package.vector_stores.files.update(
        shown(published), vector_store_id=store.id, attributes={"b": "x", "c": 1.5, "d": False}
    )
    assert changed.attributes == {"b": "x", "c": 1.5, "d": False}
    native = (await client.get(f"/v1/files/{published.file_id}")).json()
    assert native["metadata"] == {"kept": {"deep": 1}, "b": "x", "c": 1.5, "d": False}
    for wrong in ({str(n): 1 for n in range(17)}, {"k" * 65: 1}, {"k": "v" * 513}, {"k": [1]}):
        with pytest.raises(openai.BadRequestError):
            await package.vector_stores.files.update(
                shown(published),
                vector_store_id=store.id,
                attributes=wrong,  # type: ignore[arg-type] # wrong
            )
    await package.vector_stores.files.update(
        shown(published), vector_store_id=store.id, attributes=None
    )
    native = (await client.get(f"/v1/files/{published.file_id}")).json()
    assert native["metadata"] == {"kept": {"deep": 1}}


async def test_stores_are_collections(
    package: AsyncOpenAI, client: httpx.AsyncClient, tenant: TenantFixture
) -> None:
    made = await package.vector_stores.create(name="one")
    unnamed = await package.vector_stores.create()
    names = [each["name"] for each in (await client.get("/v1/collections")).json()["data"]]
    assert names == [unnamed.name, "one", "default"]
    listed = [each.name async for each in package.vector_stores.list(limit=2)]
    assert listed == names
    oldest_first = [each.name async for each in package.vector_stores.list(limit=1, order="asc")]
    assert oldest_first == names[::-1]
    renamed = await package.vector_stores.update(made.id, name="two", metadata={"a": "b"})
    assert (renamed.name, renamed.metadata) == ("two", {"a": "b"})
    kept = await package.vector_stores.update(made.id, name=None)
    assert (kept.name, kept.metadata) == ("two", {"a": "b"})
    with pytest.raises(openai.ConflictError):
        await package.vector_stores.create(name="two")
    with pytest.raises(openai.BadRequestError) as refused:
        await package.vector_stores.create(
            name="three", expires_after={"anchor": "last_active_at", "days": 7}
        )
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "expires_after")
    with pytest.raises(openai.BadRequestError) as refused:
        await package.vector_stores.create(
            name="three",
            chunking_strategy={
                "type": "static",
                "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
            },
        )
    assert refused.value.param == "chunking_strategy"
    await client.post("/v1/files?name=a.txt&collection=two", content=b"a")
    with pytest.raises(openai.ConflictError):
        await package.vector_stores.delete(made.id)


async def test_a_store_is_emptied_while_its_list_is_walked(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    published = [
        await publish_file(database, tenant.access, tenant.collection_id, [f"{number}"])
        for number in range(5)
    ]
    stores = [await package.vector_stores.create(name=f"{number}") for number in range(3)]
    batches = package.vector_stores.file_batches
    await batches.create(stores[0].id, file_ids=[shown(each) for each in published])
    async for file in package.vector_stores.files.list(stores[0].id, limit=2):
        await package.vector_stores.files.delete(file.id, vector_store_id=stores[0].id)
    assert (await package.vector_stores.retrieve(stores[0].id)).file_counts.total == 0
    async for store in package.vector_stores.list(limit=1):
        if store.name != "default":
            await package.vector_stores.delete(store.id)
    assert [each.name async for each in package.vector_stores.list()] == ["default"]


async def test_a_batch_is_added_and_polled(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    published = [
        await publish_file(database, tenant.access, tenant.collection_id, [text], state=state)
        for text, state in ((CRANES, "ready"), (TULIPS, "processing"), ("broken", "failed"))
    ]
    store = await package.vector_stores.create(name="s")
    batch = await package.vector_stores.file_batches.create(
        store.id, file_ids=[shown(each) for each in published], attributes={"batch": 1}
    )
    assert (batch.status, batch.file_counts.total) == ("in_progress", 3)
    polling = asyncio.create_task(
        package.vector_stores.file_batches.poll(
            batch.id, vector_store_id=store.id, poll_interval_ms=50
        )
    )
    await asyncio.sleep(0.2)
    assert not polling.done()
    await set_state(database, tenant.access, published[1].file_id, "ready")
    ended = await asyncio.wait_for(polling, 30)
    assert ended.status == "completed"
    counts = ended.file_counts
    assert (counts.completed, counts.failed, counts.cancelled) == (2, 1, 0)
    failed = [
        each
        async for each in package.vector_stores.file_batches.list_files(
            batch.id, vector_store_id=store.id, filter="failed"
        )
    ]
    assert [each.id for each in failed] == [shown(published[2])]
    assert failed[0].last_error is not None
    assert failed[0].last_error.code == "invalid_file"
    assert failed[0].attributes == {"batch": 1}
    single = await package.vector_stores.file_batches.create(
        store.id, files=[{"file_id": shown(published[0]), "attributes": {"batch": 2}}]
    )
    assert single.file_counts.completed == 1
    await package.files.delete(shown(published[0]))
    gone = await package.vector_stores.file_batches.retrieve(single.id, vector_store_id=store.id)
    assert (gone.status, gone.file_counts.cancelled) == ("completed", 1)


async def test_a_batch_is_added_as_a_whole_or_not_at_all(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    published = await publish_file(database, tenant.access, tenant.collection_id, [CRANES])
    store = await package.vector_stores.create(name="s")
    absent = "file-0198c5f27a3e7c4b9d510a6f4e2b8c11"
    with pytest.raises(openai.NotFoundError):
        await package.vector_stores.file_batches.create(
            store.id, file_ids=[shown(published), absent]
        )
    assert (await package.vector_stores.retrieve(store.id)).file_counts.total == 0
    with pytest.raises(openai.BadRequestError):
        await package.vector_stores.file_batches.create(store.id)


async def test_twenty_at_once_attach_a_file_once(
    package: AsyncOpenAI, database: Database, tenant: TenantFixture
) -> None:
    published = await publish_file(database, tenant.access, tenant.collection_id, [CRANES])
    store = await package.vector_stores.create(name="s")
    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(
                package.vector_stores.files.create(
                    store.id, file_id=shown(published), attributes={"last": number}
                )
            )
    assert (await package.vector_stores.retrieve(store.id)).file_counts.total == 1


async def test_a_store_gives_nobody_a_right_to_its_files(
    api: ApiProcess,
    package: AsyncOpenAI,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    drawer = await private_collection(database, tenant.access)
    secret = await publish_file(
        database, tenant.access, drawer, [CRANES], owner_id=tenant.principal_id
    )
    store = await package.vector_stores.create(name="open", file_ids=[shown(secret)])
    other = make_tenant(postgres_dsn, tenant.name, principal="other", is_admin=False)
    async with async_openai_client(api, other.api_key) as colleague:
        assert (await colleague.vector_stores.retrieve(store.id)).file_counts.total == 0
        assert (await colleague.vector_stores.files.list(store.id)).data == []
        assert (await colleague.vector_stores.search(store.id, query="cranes")).data == []
        for ask in (
            colleague.vector_stores.files.retrieve(shown(secret), vector_store_id=store.id),
            colleague.vector_stores.files.delete(shown(secret), vector_store_id=store.id),
            colleague.vector_stores.files.create(store.id, file_id=shown(secret)),
            colleague.vector_stores.retrieve(store_of(drawer)),
            colleague.vector_stores.search(store_of(drawer), query="cranes"),
        ):
            with pytest.raises(openai.NotFoundError):
                await ask
    assert (await package.vector_stores.retrieve(store.id)).file_counts.total == 1


async def test_another_tenant_finds_none_of_it(
    api: ApiProcess,
    package: AsyncOpenAI,
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
) -> None:
    published = await publish_file(database, tenant.access, tenant.collection_id, [CRANES])
    store = await package.vector_stores.create(name="s", file_ids=[shown(published)])
    batch = await package.vector_stores.file_batches.create(store.id, file_ids=[shown(published)])
    async with async_openai_client(api, other_tenant.api_key) as stranger:
        theirs = await stranger.vector_stores.create(name="theirs")
        for ask in (
            stranger.vector_stores.retrieve(store.id),
            stranger.vector_stores.update(store.id, name="mine"),
            stranger.vector_stores.delete(store.id),
            stranger.vector_stores.search(store.id, query="cranes"),
            stranger.vector_stores.files.create(theirs.id, file_id=shown(published)),
            stranger.vector_stores.file_batches.create(theirs.id, file_ids=[shown(published)]),
            stranger.vector_stores.file_batches.retrieve(batch.id, vector_store_id=theirs.id),
            stranger.vector_stores.create(name="more", file_ids=[shown(published)]),
        ):
            with pytest.raises(openai.NotFoundError):
                await ask
        names = [each.name async for each in stranger.vector_stores.list()]
        assert names == ["theirs", "default"], "what was refused made nothing"

"""What is kept of responses: never what a change made stale, bounded, sealed, and erased with its files."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from activities.erasure.stores import store_named
from db.queries import answer_cache, language_models
from db.queries.answer_cache import CacheLimits, NewResponse, ResponseKind
from db.session import Access, Database
from muniment.objects import SealedTexts
from muniment.sealing import KeyFile
from retrieval.answer import Answerer
from retrieval.answer_extractive import Pages
from retrieval.cache.answers import prepare_cached
from retrieval.cache.kept import KeptSearch, is_search_kept
from retrieval.cache.responses import CacheIdentity, ResponseCache
from retrieval.cache.searches import cached_search
from retrieval.request import QuestionRequest, SearchMode, SearchRequest
from retrieval.response import Answer, DoneEvent, SearchResponse
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.model_process import ModelServer
from tests.retrieval.model_answers import ASKED, Answering, model, page_text
from tests.retrieval.published import Published, publish_file, set_state

LIMITS = CacheLimits(timedelta(minutes=10), 100, 1_000_000)
CRANES = SearchRequest(query="harbour cranes", mode=SearchMode.LEXICAL)

Caching = Callable[..., ResponseCache]


@pytest.fixture
async def caching(database: Database, tmp_path: Path) -> AsyncIterator[Caching]:
    """Caches of processes with the same keys."""
    async with AsyncExitStack() as stack:

        def made(
            *models: str, limits: CacheLimits | None = LIMITS, process: str = "release"
        ) -> ResponseCache:
            keys = KeyFile(tmp_path / "keys.json")
            cache = ResponseCache(database, keys, limits, CacheIdentity(models, process))
            stack.push_async_callback(cache.close)
            return cache

        yield made


@pytest.fixture
def searcher(database: Database, texts: SealedTexts) -> Searcher:
    return Searcher(database, None, texts)


@pytest.fixture
async def file(database: Database, tenant: TenantFixture) -> Published:
    passages = ["The harbour cranes were paid for by the widow."]
    return await publish_file(database, tenant.access, tenant.collection_id, passages)


async def rows(database: Database, tenant: TenantFixture) -> list[Any]:
    async with database.transaction(tenant.access) as session:
        found = await session.execute(
            text("SELECT kind, epoch, file_ids, sealed FROM cached_response ORDER BY created_at")
        )
        return list(found)


async def kept_search(
    cache: ResponseCache, searcher: Searcher, access: Access, request: SearchRequest = CRANES
) -> SearchResponse:
    """Once it is durable."""
    found = await cached_search(cache, searcher, access, request)
    await cache.close()
    return found


async def test_a_change_between_the_search_and_its_keeping_makes_it_stale(
    caching: Caching,
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    file: Published,
) -> None:
    """In each place where it can come: no moment is left in which what was is told as what is."""
    cache, access = caching(), tenant.access
    looked = await cache.find_search(access, CRANES)
    assert looked.place is not None
    await set_state(database, access, file.file_id, "trashed")  # before the search
    found = await searcher.search(access, CRANES)
    cache.keep(access, looked.place, KeptSearch(response=found))
    await cache.close()
    assert await rows(database, tenant) == []
    looked = await cache.find_search(access, CRANES)
    assert looked.place is not None
    found = await searcher.search(access, CRANES)
    await set_state(database, access, file.file_id, "ready")  # behind it
    cache.keep(access, looked.place, KeptSearch(response=found))
    await cache.close()
    assert await rows(database, tenant) == []
    assert len((await kept_search(cache, searcher, access)).data) == 1


async def test_a_change_that_commits_while_it_is_kept_makes_it_stale(
    caching: Caching,
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    file: Published,
) -> None:
    cache, access = caching(), tenant.access
    looked = await cache.find_search(access, CRANES)
    assert looked.place is not None
    async with database.transaction(tenant.system) as changing:
        await changing.execute(
            text("UPDATE file SET state = 'trashed' WHERE id = :id"), {"id": file.file_id}
        )
        found = await searcher.search(access, CRANES)
        cache.keep(access, looked.place, KeptSearch(response=found))
        await cache.close()
        assert len(await rows(database, tenant)) == 1
        assert (await cached_search(cache, searcher, access, CRANES)).cached
    again = await kept_search(cache, searcher, access)
    assert (again.cached, again.data) == (False, ())
    assert len(await rows(database, tenant)) == 1


async def test_what_is_kept_is_another_processs_too_but_not_anothers(
    caching: Caching,
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    file: Published,
) -> None:
    await kept_search(caching(), searcher, tenant.access)
    assert (await kept_search(caching(), searcher, tenant.access)).cached
    assert not (await kept_search(caching(process="newer"), searcher, tenant.access)).cached
    assert not (await kept_search(caching(), searcher, other_tenant.access)).cached
    assert not (await kept_search(caching(), searcher, tenant.system)).cached
    assert not (await kept_search(caching(limits=None), searcher, tenant.access)).cached


async def test_the_database_holds_neither_questions_nor_texts(
    caching: Caching, searcher: Searcher, database: Database, tenant: TenantFixture, file: Published
) -> None:
    await kept_search(caching(), searcher, tenant.access)
    async with database.transaction(tenant.access) as session:
        (stored,) = await session.scalars(text("SELECT cached_response::text FROM cached_response"))
    ((_, _, _, sealed),) = await rows(database, tenant)
    for word in ("harbour", "cranes", "widow"):
        assert word not in stored
        assert word.encode() not in sealed
    async with database.transaction(tenant.access) as session:
        await session.execute(text("UPDATE cached_response SET sealed = substring(sealed, 2)"))
    assert not (await cached_search(caching(), searcher, tenant.access, CRANES)).cached


async def test_what_is_of_an_earlier_epoch_does_not_open_as_of_this_one(
    caching: Caching, searcher: Searcher, database: Database, tenant: TenantFixture, file: Published
) -> None:
    await kept_search(caching(), searcher, tenant.access)
    await set_state(database, tenant.access, file.file_id, "trashed")
    async with database.transaction(tenant.access) as session:
        await session.execute(text("UPDATE cached_response SET epoch = epoch + 1"))
    found = await cached_search(caching(), searcher, tenant.access, CRANES)
    assert (found.cached, found.data) == (False, ())


async def test_rights_are_asked_again(
    caching: Caching,
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    file: Published,
    postgres_dsn: str,
) -> None:
    """Even where the epoch would not tell of a change."""
    await kept_search(caching(), searcher, tenant.access)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute("SET session_replication_role = replica")  # no triggers
        connection.execute("UPDATE file SET state = 'trashed' WHERE id = %s", (file.file_id,))
    found = await cached_search(caching(), searcher, tenant.access, CRANES)
    assert (found.cached, found.data) == (False, ())


async def test_sealed_texts_are_not_kept(
    searcher: Searcher, tenant: TenantFixture, file: Published
) -> None:
    found = await searcher.search(tenant.access, CRANES)
    for change in ({"sealed": True}, {"text_missing": True}):
        hit = found.data[0].model_copy(update=change)
        assert not is_search_kept(found.model_copy(update={"data": (hit,)}))
    assert is_search_kept(found)


async def test_a_tenant_keeps_so_many_and_so_much(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    async def keep(number: int, size: int, limits: CacheLimits, of: TenantFixture) -> None:
        async with database.transaction(of.access) as session:
            epoch = (await answer_cache.find(session, b"")).epoch
            response = NewResponse(
                ResponseKind.SEARCH, bytes([number]), epoch, [], bytes([number]) * size
            )
            assert await answer_cache.keep(session, response, limits)

    few = CacheLimits(timedelta(minutes=1), 3, 1_000)
    await keep(0, 10, few, other_tenant)
    for number in range(5):
        await keep(number, 10, few, tenant)
    assert [row.sealed[0] for row in await rows(database, tenant)] == [2, 3, 4]
    await keep(5, 985, few, tenant)
    assert [row.sealed[0] for row in await rows(database, tenant)] == [4, 5]
    await keep(5, 10, few, tenant)
    assert [(row.sealed[0], len(row.sealed)) for row in await rows(database, tenant)] == [
        (4, 10),
        (5, 10),
    ]
    assert len(await rows(database, other_tenant)) == 1


async def test_what_is_too_old_is_not_told_and_goes(
    caching: Caching, searcher: Searcher, database: Database, tenant: TenantFixture, file: Published
) -> None:
    cache = caching(limits=CacheLimits(timedelta(0), 10, 1_000_000))
    await kept_search(cache, searcher, tenant.access)
    assert not (await kept_search(cache, searcher, tenant.access)).cached
    await kept_search(caching(), searcher, tenant.access)
    async with database.transaction(tenant.access) as session:
        await session.execute(text("UPDATE cached_response SET expires_at = now()"))
    async with database.transaction(tenant.access) as session:
        assert await answer_cache.forget_stale(session) == 1
    assert await rows(database, tenant) == []


async def test_an_erasure_forgets_what_has_anything_of_the_file(
    caching: Caching, searcher: Searcher, database: Database, tenant: TenantFixture, file: Published
) -> None:
    other = await publish_file(
        database, tenant.access, tenant.collection_id, ["Sheep were counted each spring."]
    )
    await kept_search(caching(), searcher, tenant.access)
    sheep = SearchRequest(query="sheep", mode=SearchMode.LEXICAL)
    await kept_search(caching(), searcher, tenant.access, sheep)
    store = store_named("cached_responses")
    assert store is not None
    for _ in range(2):
        async with database.transaction(tenant.system) as session:
            await store.erase(session, file.file_id)
    assert [row.file_ids for row in await rows(database, tenant)] == [[other.file_id]]


async def test_nothing_of_a_file_is_kept_behind_its_erasure(
    caching: Caching, searcher: Searcher, database: Database, tenant: TenantFixture, file: Published
) -> None:
    """What begins to be kept while the file is being forgotten is not."""
    cache = caching()
    looked = await cache.find_search(tenant.access, CRANES)
    found = await searcher.search(tenant.access, CRANES)
    assert looked.place is not None
    store = store_named("cached_responses")
    assert store is not None
    async with database.transaction(tenant.system) as session:
        await store.erase(session, file.file_id)
        cache.keep(tenant.access, looked.place, KeptSearch(response=found))
        await cache.close()
    assert await rows(database, tenant) == []


async def test_without_keys_the_search_is_made(
    caching: Caching,
    searcher: Searcher,
    tenant: TenantFixture,
    file: Published,
    tmp_path: Path,
) -> None:
    (tmp_path / "keys.json").write_text("no keys")
    found = await kept_search(caching(), searcher, tenant.access)
    assert (found.cached, len(found.data)) == (False, 1)


async def test_many_at_once_keep_one_and_nobody_waits_for_ever(
    caching: Caching, searcher: Searcher, database: Database, tenant: TenantFixture, file: Published
) -> None:
    cache = caching()
    found = await asyncio.gather(
        *(cached_search(cache, searcher, tenant.access, CRANES) for _ in range(6))
    )
    await cache.close()
    assert {len(each.data) for each in found} == {1}
    assert len(await rows(database, tenant)) == 1
    assert (await cached_search(cache, searcher, tenant.access, CRANES)).cached


# ── answers of language models ──────────────────────────────────────────────────────────────────


async def told(
    cache: ResponseCache, answerer: Answerer, access: Access, request: QuestionRequest = ASKED
) -> Answer:
    prepared = await prepare_cached(cache, answerer, access, request, Pages(page_text))
    try:
        async with aclosing(prepared.events(is_whole=True)) as events:
            async for event in events:
                if isinstance(event, DoneEvent):
                    return event.answer
    finally:
        await prepared.close()
        await cache.close()
    raise AssertionError("the last event is the answer")


async def test_a_models_answer_is_told_again_and_costs_nothing(
    caching: Caching, answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    answerer, _ = answering(model(server, "faithful"))
    cache = caching("faithful")
    first = await told(cache, answerer, tenant.access)
    asked = len(server.seen)
    again = await told(cache, answerer, tenant.access)
    assert first.meta.tokens.prompt > 0
    assert (again.meta.cached, again.meta.tokens.prompt, len(server.seen)) == (True, 0, asked)
    assert (again.answer, again.citations) == (first.answer, first.citations)
    assert again.meta.provider == "faithful"


@pytest.mark.parametrize(
    "behaviours",
    [("failing", "faithful"), ("inventing",), ("foreign",), ("refusing",), ("uncited",), ("cut",)],
)
async def test_what_failed_or_is_not_proven_is_not_kept(
    caching: Caching,
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
    behaviours: tuple[str, ...],
) -> None:
    answerer, _ = answering(*(model(server, each) for each in behaviours))
    await told(caching(*behaviours), answerer, tenant.access)
    assert await rows(database, tenant) == []


async def test_a_model_that_is_paused_is_not_told_again_either(
    caching: Caching,
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
) -> None:
    answerer, _ = answering(model(server, "faithful"))
    cache = caching("faithful")
    await told(cache, answerer, tenant.access)
    async with database.transaction(tenant.access) as session:
        await language_models.pause(session, tenant.tenant_id, "faithful", tenant.principal_id)
    paused = await told(cache, answerer, tenant.access)
    assert (paused.meta.cached, paused.meta.provider) == (False, None)

"""What is kept of responses: never what a change made stale, bounded, sealed, and erased with its files."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from activities.erasure.stores import store_named
from db.models import new_id
from db.queries import answer_cache
from db.queries.answer_cache import CacheLimits, NewResponse, ResponseKind
from db.session import Access, Database
from muniment.errors import DatabaseUnavailable
from muniment.objects import SealedTexts
from muniment.sealing import KeyFile
from muniment.telemetry.metrics import REGISTRY
from retrieval.cache import responses
from retrieval.cache.from_settings import code_digest
from retrieval.cache.kept import KeptSearch, is_search_kept
from retrieval.cache.responses import CacheIdentity, ResponseCache
from retrieval.cache.searches import cached_search
from retrieval.request import SearchMode, SearchRequest
from retrieval.response import SearchResponse
from retrieval.search import Searcher
from tests.conftest import REPOSITORY, TenantFixture
from tests.retrieval.caches import LIMITS, Caching, rows
from tests.retrieval.published import Published, publish_file, set_state

CRANES = SearchRequest(query="harbour cranes", mode=SearchMode.LEXICAL)


@pytest.fixture
def searcher(database: Database, texts: SealedTexts) -> Searcher:
    return Searcher(database, None, texts)


@pytest.fixture
async def file(database: Database, tenant: TenantFixture) -> Published:
    passages = ["The harbour cranes were paid for by the widow."]
    return await publish_file(database, tenant.access, tenant.collection_id, passages)


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


async def test_an_erasure_waits_for_what_is_being_kept(
    database: Database, tenant: TenantFixture, file: Published
) -> None:
    async with asyncio.TaskGroup() as tasks, database.transaction(tenant.access) as session:
        assert await keep_row(session, b"key", [file.file_id])

        async def erase() -> None:
            async with database.transaction(tenant.system) as erasing:
                await answer_cache.forget_file(erasing, file.file_id)

        erasure = tasks.create_task(erase())
        await asyncio.wait({erasure}, timeout=0.3)
        assert not erasure.done()
    assert await rows(database, tenant) == []


async def keep_row(session: AsyncSession, key: bytes, file_ids: Sequence[UUID]) -> bool:
    epoch = (await answer_cache.find(session, key)).epoch
    response = NewResponse(ResponseKind.SEARCH, key, epoch, file_ids, b"sealed")
    return await answer_cache.keep(session, response, LIMITS)


async def test_keeping_leaves_connections_to_those_who_wait_for_them(
    application_dsn: str,
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    file: Published,
    tmp_path: Path,
) -> None:
    """Nor does it wait for another's row as long as a statement may take."""
    few = Database(application_dsn, pool_size=3, pool_timeout_seconds=0.5)
    cache = ResponseCache(few, KeyFile(tmp_path / "keys.json"), LIMITS, CacheIdentity())
    found = await searcher.search(tenant.access, CRANES)
    looked = await cache.find_search(tenant.access, CRANES)
    assert looked.place is not None
    async with database.transaction(tenant.access) as session:
        assert await keep_row(session, looked.place.key, [])
        for _ in range(8):
            cache.keep(tenant.access, looked.place, KeptSearch(response=found))
        await asyncio.sleep(0.2)
        assert (await cache.find_search(tenant.access, CRANES)).place is not None
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction(tenant.access) as second:
                await keep_row(second, looked.place.key, [])
    await cache.close()
    await few.close()


async def test_what_cannot_be_found_soon_is_searched(
    application_dsn: str, tenant: TenantFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is given up by who asked is no failure."""
    monkeypatch.setattr(responses, "LOOK_UP_SECONDS", 0.3)
    busy = Database(application_dsn, pool_size=1, pool_timeout_seconds=30)
    cache = ResponseCache(busy, KeyFile(tmp_path / "keys.json"), LIMITS, CacheIdentity())
    async with busy.transaction(tenant.access):
        before = failed_look_ups()
        async with asyncio.timeout(10):
            assert await cache.find_search(tenant.access, CRANES) == responses.Looked()
        assert failed_look_ups() == before + 1
        monkeypatch.setattr(responses, "LOOK_UP_SECONDS", 30)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await cache.find_search(tenant.access, CRANES)
        assert failed_look_ups() == before + 1
    await busy.close()


def failed_look_ups() -> float:
    labels = {"kind": "search", "outcome": "failed"}
    return REGISTRY.get_sample_value("muniment_cached_responses_total", labels) or 0.0


async def test_a_database_that_refuses_a_statement_stops_no_search(
    caching: Caching,
    searcher: Searcher,
    tenant: TenantFixture,
    file: Published,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """As an older one does; what SQLAlchemy says of that quotes what was to be kept."""
    cache, nobody = caching(), Access(new_id(), new_id())
    looked = await cache.find_search(nobody, CRANES)
    assert looked.place is not None
    cache.keep(nobody, looked.place, KeptSearch(response=await searcher.search(nobody, CRANES)))
    (keeping,) = cache._keeping
    await keeping
    assert "sealed" not in "".join(capfd.readouterr())
    monkeypatch.setattr(answer_cache, "_FIND", text("SELECT epoch FROM no_such_table"))
    found = await kept_search(cache, searcher, tenant.access)
    assert (found.cached, len(found.data)) == (False, 1)


@pytest.mark.parametrize("changed", ["retrieval/prompts/answer-1/user.txt", "db/queries/search.py"])
def test_another_release_tells_nothing_again(tmp_path: Path, changed: str) -> None:
    """Of one byte's difference."""
    path = tmp_path / changed
    path.parent.mkdir(parents=True)
    path.write_text("a")
    before = code_digest(tmp_path)
    assert code_digest(tmp_path) == before
    path.write_text("b")
    assert code_digest(tmp_path) != before
    assert code_digest(REPOSITORY) != before


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

"""What is hidden, common, or in another language has no more say in a search by words than it should."""

import asyncio
import sys
import time
import tracemalloc
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import Collection, new_id
from db.queries import candidates
from db.queries import lexical as queries
from db.queries.lexical import DocumentRanges, Extent, TermPostings
from db.queries.postings import forget_words, index_words
from db.queries.search import FileFilter
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow
from retrieval.bm25 import Bm25, best_passages
from retrieval.lexical import search_words, term_weights
from tests.conftest import TenantFixture, make_tenant
from tests.patience import on_a_busy_machine
from tests.retrieval.published import Published, publish_file

EVERYTHING = FileFilter()


@pytest.fixture
def clerk(tenant: TenantFixture, postgres_dsn: str) -> TenantFixture:
    """Who does not see the collection `private_id`."""
    return make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)


@pytest.fixture
async def private_id(database: Database, tenant: TenantFixture) -> UUID:
    private = Collection(
        id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
    )
    async with database.transaction(tenant.system) as session:
        session.add(private)
    return private.id


async def published_in(
    database: Database,
    tenant: TenantFixture,
    language: str,
    passages: Sequence[str],
) -> Published:
    file = await publish_file(database, tenant.access, tenant.collection_id, passages)
    async with database.transaction(tenant.system) as session:
        await forget_words(session, file.file_id)
        await index_words(session, file.version_id, language)
    return file


async def weights(database: Database, access: Access, question: str) -> dict[str, float]:
    async with database.transaction(access) as session:
        return await term_weights(session, question)


# ── what is hidden ──────────────────────────────────────────────────────────────────────────────


async def test_nothing_tells_that_a_word_stands_in_a_hidden_file(
    database: Database, tenant: TenantFixture, clerk: TenantFixture, private_id: UUID
) -> None:
    known = " ".join(f"word{number}" for number in range(queries.MAX_TERMS))
    await publish_file(database, tenant.access, tenant.collection_id, [known, "else"])
    await publish_file(database, tenant.access, private_id, ["falke", "falke word1"])
    guessed, absent = [
        await search_words(database, clerk.access, f"{known} {guess}", EVERYTHING)
        for guess in ("falke", "sperber")
    ]
    assert guessed == absent
    assert not guessed.truncated
    all_of_it = await search_words(database, tenant.access, f"{known} falke", EVERYTHING)
    assert all_of_it.truncated


async def test_the_question_alone_decides_which_words_are_looked_for_in_what_is_in_sight(
    database: Database, tenant: TenantFixture, clerk: TenantFixture, private_id: UUID
) -> None:
    file = await publish_file(database, tenant.access, tenant.collection_id, ["shortest oak"])
    await publish_file(database, tenant.access, private_id, ["oak oak"])
    asked = "shortest " + " ".join(f"w{number}" for number in range(queries.MAX_ASKED))
    found = await search_words(database, clerk.access, asked, EVERYTHING)
    assert found.truncated
    assert found.scores.keys() == {file.chunk_ids[0]}


async def test_how_common_a_hidden_word_is_decides_nothing(
    database: Database,
    tenant: TenantFixture,
    clerk: TenantFixture,
    private_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = await publish_file(
        database, tenant.access, tenant.collection_id, ["oak elm", "elm", "ash"]
    )
    await publish_file(database, tenant.access, private_id, ["oak"] * 50)
    monkeypatch.setattr(queries, "MAX_ENTRIES", 2)
    monkeypatch.setattr(queries, "ENTRIES_AT_A_TIME", 1)
    found = await search_words(database, clerk.access, "oak elm", EVERYTHING)
    assert found.truncated
    assert found.scores.keys() == {file.chunk_ids[0]}, "the rarest in sight"
    one = await search_words(database, clerk.access, "oak", EVERYTHING)
    assert not one.truncated


async def test_of_one_word_that_is_everywhere_the_newest_passages_are_searched(
    database: Database,
    tenant: TenantFixture,
    clerk: TenantFixture,
    private_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = [
        await publish_file(database, tenant.access, tenant.collection_id, ["oak", "oak"])
        for _ in range(4)
    ]
    monkeypatch.setattr(queries, "MAX_ENTRIES", 3)
    monkeypatch.setattr(queries, "ENTRIES_AT_A_TIME", 1)
    newest = {*files[2].chunk_ids, *files[3].chunk_ids}
    for access in (tenant.access, clerk.access):
        found = await search_words(database, access, "oak", EVERYTHING)
        assert found.scores.keys() == newest
        assert found.truncated


async def test_words_weigh_the_same_whether_they_stand_in_hidden_files_or_nowhere(
    database: Database, tenant: TenantFixture, clerk: TenantFixture, private_id: UUID
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm", "elm"])
    await publish_file(database, tenant.access, private_id, ["falke"] * 30)
    found = await weights(database, clerk.access, "falke sperber oak elm")
    assert found["falk"] == found["sperber"] > found["oak"] > found["elm"]


# ── what is common, and other languages ─────────────────────────────────────────────────────────


async def test_the_commonest_words_weigh_least_however_many_are_asked_for(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = " ".join(f"word{number}" for number in range(80))
    await publish_file(
        database, tenant.access, tenant.collection_id, [f"oak {words}", *["oak"] * 9]
    )
    monkeypatch.setattr(queries, "MAX_ENTRIES", 5)
    found = await weights(database, tenant.access, f"oak {words} absent")
    assert len(found) == 82
    assert min(found, key=found.__getitem__) == "oak"
    assert max(found, key=found.__getitem__) == "absent"


async def test_words_of_german_documents_weigh_what_they_are_worth_there(
    database: Database, tenant: TenantFixture
) -> None:
    await published_in(
        database,
        tenant,
        "german",
        ["Die Häuser der Hafenmeister", *["Die Häuser der Stadt"] * 8],
    )
    found = await weights(database, tenant.access, "der Hafenmeister Häuser")
    assert found["hafenmeist"] > 3 * found["häuser"]
    assert found["häuser"] == pytest.approx(found["der"])


async def test_a_question_of_thousands_of_words_in_three_languages_is_weighed_in_time(
    database: Database, tenant: TenantFixture, clerk: TenantFixture, private_id: UUID
) -> None:
    question = " ".join(f"w{number}" for number in range(5_000))
    for language in ("english", "german", "simple"):
        await published_in(database, tenant, language, ["w1 oak", "w1"])
    async with asyncio.timeout(on_a_busy_machine(5)):
        assert len(await weights(database, tenant.access, question)) == 5_000
        found = await weights(database, clerk.access, question)
    assert len(found) < queries.MAX_ASKED, "the others were not looked for"


async def test_a_small_language_does_not_come_before_a_large_one(
    database: Database, tenant: TenantFixture
) -> None:
    filler = [f"invoice paid for the delivery of goods {number}" for number in range(100)]
    main = await publish_file(
        database, tenant.access, tenant.collection_id, ["invoice invoice", *filler, *["goods"] * 90]
    )
    await published_in(database, tenant, "simple", ["invoice table", "invoice list", "invoice"])
    found = await search_words(database, tenant.access, "invoice", EVERYTHING)
    assert next(iter(found.scores)) == main.chunk_ids[0]


# ── memory ──────────────────────────────────────────────────────────────────────────────────────

BYTES_AN_ENTRY = 70


@pytest.mark.parametrize("gap", [1, 2, 4, 31])
@pytest.mark.parametrize("is_filtered", [False, True])
def test_scoring_takes_so_many_bytes_an_entry(gap: int, *, is_filtered: bool) -> None:
    amount = 100_000
    numbers = [np.arange(start, start + amount * gap, gap, np.int64) for start in (0, 1, 2)]
    ones = np.ones(amount)
    terms = [
        TermPostings(
            "english", f"w{place}", 1, each, ones.astype(np.uint8), ones.astype(np.uint16), amount
        )
        for place, each in enumerate(numbers)
    ]
    first = np.arange(0, amount * gap, 50)
    ranges = DocumentRanges(first, np.full(len(first), 49), np.full(len(first), True), {})
    tracemalloc.start()
    extents = {"english": Extent(10 * amount, 500 * amount)}
    best_passages(terms, extents, Bm25(), 200, ranges if is_filtered else None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak / (len(terms) * amount) < BYTES_AN_ENTRY


async def test_no_more_than_so_many_search_at_once(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, ["oak"])
    places = asyncio.Semaphore(1)
    monkeypatch.setattr("retrieval.lexical.LONGEST_WAIT_SECONDS", 0.2)
    async with places:
        with pytest.raises(DatabaseTooSlow):
            await search_words(database, tenant.access, "oak", EVERYTHING, places=places)
    found = await search_words(database, tenant.access, "oak", EVERYTHING, places=places)
    assert len(found.scores) == 1
    assert not places.locked()


# ── what happens meanwhile ──────────────────────────────────────────────────────────────────────


async def test_a_file_that_is_indexed_anew_within_a_search_is_found_by_it(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await publish_file(database, tenant.access, tenant.collection_id, ["oak"])
    visible_chunks = candidates.visible_chunks

    async def later(session: AsyncSession, *given: Any) -> dict[int, UUID]:
        async with database.transaction(tenant.system) as other:
            await forget_words(other, file.file_id)
            await index_words(other, file.version_id)
        return await visible_chunks(session, *given)

    monkeypatch.setattr("retrieval.lexical.visible_chunks", later)
    found = await search_words(database, tenant.access, "oak", EVERYTHING)
    assert found.scores.keys() == set(file.chunk_ids)


async def test_a_search_that_is_given_up_gives_its_connection_back(
    database: Database,
    application_dsn: str,
    tenant: TenantFixture,
    clerk: TenantFixture,
    private_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for _ in range(4):
        await publish_file(database, tenant.access, tenant.collection_id, ["oak elm"])
    monkeypatch.setattr(queries, "ENTRIES_AT_A_TIME", 1)
    loop, reading, restricted = asyncio.get_running_loop(), asyncio.Event(), queries._restricted

    def slowly(*given: Any) -> Any:
        loop.call_soon_threadsafe(reading.set)
        time.sleep(0.1)
        return restricted(*given)

    monkeypatch.setattr(queries, "_restricted", slowly)
    hooks, left_open = sys.get_asyncgen_hooks(), list[str]()

    def finalize(generator: Any) -> None:
        left_open.append(generator.__name__)
        hooks.finalizer(generator)

    narrow = Database(application_dsn, pool_size=1)
    sys.set_asyncgen_hooks(firstiter=hooks.firstiter, finalizer=finalize)
    try:
        given_up = asyncio.create_task(search_words(narrow, clerk.access, "oak elm", EVERYTHING))
        await reading.wait()
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        async with asyncio.timeout(20):
            found = await search_words(narrow, clerk.access, "oak elm", EVERYTHING)
    finally:
        sys.set_asyncgen_hooks(hooks.firstiter, hooks.finalizer)
        await narrow.close()
    assert len(found.scores) == 4
    assert left_open == [], "each was closed where it was given up"


async def test_a_snapshot_reads_only(database: Database, tenant: TenantFixture) -> None:
    async with database.transaction(tenant.access, is_snapshot=True) as session:
        level = await session.scalar(text("SHOW transaction_isolation"))
        assert await session.scalar(text("SHOW transaction_read_only")) == "on"
    assert level == "repeatable read"
    async with database.transaction(tenant.access) as session:
        assert await session.scalar(text("SHOW transaction_isolation")) == "read committed"
        assert await session.scalar(text("SHOW transaction_read_only")) == "off"

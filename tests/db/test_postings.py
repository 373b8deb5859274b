"""The index of words: what is published is in it at once, what is deleted leaves no trace, and putting it
in order changes nothing of what it says."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.testing import ActivityEnvironment

from activities.lexical_index.activity import LexicalIndex
from activities.lexical_index.turn import in_turn
from db.queries import lexical, postings
from db.queries.asked import AskedQuery, asked_terms
from db.queries.erasure import erase_postings, erase_search_index
from db.queries.postings import (
    BLOCK_ENTRIES,
    ENTRY,
    LEAST_ROWS_TO_MERGE,
    PASSAGES_PER_STATEMENT,
    PostingsBusy,
    merge_page,
    purge_removals,
)
from db.queries.publish import delete_chunks
from db.session import Access, Database
from muniment.contracts.merge_postings import MergePostingsInput, MergePostingsResult
from muniment.errors import DatabaseTooSlow
from tests.conftest import TenantFixture
from tests.db.test_downgrades import dsn_of
from tests.patience import on_a_busy_machine
from tests.retrieval.published import Published, publish_file


async def merged(database: Database, tenant: TenantFixture) -> MergePostingsResult:
    request = MergePostingsInput(tenant_id=tenant.tenant_id)
    return await ActivityEnvironment().run(LexicalIndex(database).merge_postings, request)


async def published(
    database: Database, tenant: TenantFixture, passages: Sequence[str]
) -> Published:
    return await publish_file(database, tenant.access, tenant.collection_id, passages)


async def standing(database: Database, access: Access, word: str) -> Counter[tuple[int, int, int]]:
    """Number, frequency and length of each passage that the word stands in."""
    async with database.transaction(access) as session:
        asked = await asked_terms(session, AskedQuery(word), ["english"])
        found = await lexical.postings(session, asked, {"english": lexical.Extent(1, 1)})
    return Counter(
        each
        for term in found.terms
        for each in zip(
            term.numbers.tolist(), term.frequencies.tolist(), term.lengths.tolist(), strict=True
        )
    )


LISTS = "(SELECT term FROM posting UNION ALL SELECT unnest(terms) FROM unmerged_posting) AS list"
"""Each term's, of rows of terms and of publications that wait."""


async def rows(database: Database, tenant: TenantFixture, table: str = LISTS) -> int:
    async with database.transaction(tenant.system) as session:
        return int((await session.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one())  # noqa: S608 - of the tests


@pytest.fixture
def at_once_in_rows_of_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where too many publications wait."""
    monkeypatch.setattr(postings, "MAX_UNMERGED", 0)


async def erase(database: Database, tenant: TenantFixture, file_id: UUID) -> int:
    """In how many transactions behind the first."""
    async with database.transaction(tenant.system) as session:
        await erase_search_index(session, file_id)
    for number in range(10_000):
        async with database.transaction(tenant.system) as session:
            if not await erase_postings(session, file_id):
                return number
    raise AssertionError("it did not end")


@pytest.mark.parametrize(("most", "singles"), [(0, 0), (256, 12)])
async def test_merging_changes_nothing_that_is_said(
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
    most: int,
    singles: int,
) -> None:
    monkeypatch.setattr(postings, "MAX_UNMERGED", most)
    for number in range(12):
        await published(database, tenant, [f"oak oak elm w{number}", f"ash elm w{number}"])
    before = [await standing(database, tenant.access, word) for word in ("oak", "elm", "w7")]
    assert [len(each) for each in before] == [12, 24, 2]
    was = await rows(database, tenant)
    result = await merged(database, tenant)
    assert result.rows_before == 3 * 12 + singles
    assert result.rows_after == 3 + singles
    assert await rows(database, tenant) == was - 3 * 11
    assert [
        await standing(database, tenant.access, word) for word in ("oak", "elm", "w7")
    ] == before
    assert await merged(database, tenant) == MergePostingsResult(
        removals=0, rows_before=0, rows_after=0
    )


async def test_full_rows_are_left_alone(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("db.queries.postings.BLOCK_ENTRIES", 20)
    for _ in range(LEAST_ROWS_TO_MERGE):
        await published(database, tenant, ["oak elm"] * 5)
    before = await standing(database, tenant.access, "oak")
    assert (await merged(database, tenant)).rows_after == 2 * 2
    assert await standing(database, tenant.access, "oak") == before
    for _ in range(LEAST_ROWS_TO_MERGE):
        await published(database, tenant, ["oak"])
    assert (await merged(database, tenant)).rows_before == LEAST_ROWS_TO_MERGE
    assert len(await standing(database, tenant.access, "oak")) == 6 * LEAST_ROWS_TO_MERGE


async def test_what_is_deleted_goes_out_of_merged_rows_and_takes_its_own_words_with_it(
    database: Database, tenant: TenantFixture
) -> None:
    files = [
        await published(database, tenant, ["oak elm", f"oak secret{number}"]) for number in range(9)
    ]
    await merged(database, tenant)
    numbers = sorted(await standing(database, tenant.access, "oak"))
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, files[4].file_id)
    assert (await merged(database, tenant)).removals == 1
    assert sorted(await standing(database, tenant.access, "oak")) == numbers[:8] + numbers[10:]
    assert not await standing(database, tenant.access, "secret4")
    assert await rows(database, tenant, "posting_removal") == 0
    async with database.transaction(tenant.system) as session:
        terms = await session.scalars(text("SELECT term FROM posting WHERE term LIKE 'secret%'"))
        assert "secret4" not in set(terms)


async def test_an_erasure_waits_for_no_maintenance(
    database: Database, tenant: TenantFixture
) -> None:
    """Neither words nor numbers of the file are left, of a version that was replaced before as well."""
    kept = await published(database, tenant, ["oak elm"])
    erased = await published(database, tenant, [f"oak secret{number}" for number in range(700)])
    await merged(database, tenant)
    await erase(database, tenant, erased.file_id)
    assert await rows(database, tenant) == 2
    assert await rows(database, tenant, "posting_removal") == 0
    assert await rows(database, tenant, "lexical_document") == 1
    assert len(await standing(database, tenant.access, "oak")) == 1
    await erase(database, tenant, erased.file_id)
    await erase(database, tenant, kept.file_id)
    assert await rows(database, tenant) == 0


async def test_many_removals_rewrite_a_row_once(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [await published(database, tenant, [f"oak elm w{number}"]) for number in range(12)]
    await merged(database, tenant)
    for file in files[1::2]:
        async with database.transaction(tenant.system) as session:
            await delete_chunks(session, file.file_id)
    rewritten = list[int]()
    replace = postings._replace

    async def counted(session: AsyncSession, gone: Sequence[Any], come: Sequence[Any]) -> None:
        rewritten.append(len(gone))
        await replace(session, gone, come)

    monkeypatch.setattr(postings, "_replace", counted)
    assert (await merged(database, tenant)).removals == 6
    assert rewritten[0] == 2 + 6
    assert len(await standing(database, tenant.access, "oak")) == 6
    assert await rows(database, tenant) == 2 + 6


@pytest.mark.usefixtures("at_once_in_rows_of_terms")
async def test_an_erasure_goes_on_where_it_was_killed(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await published(database, tenant, ["oak elm"])
    file = await published(database, tenant, [f"oak secret{number}" for number in range(20)])
    monkeypatch.setattr(postings, "TERMS_PER_TRANSACTION", 4)
    async with database.transaction(tenant.system) as session:
        await erase_search_index(session, file.file_id)
    for _ in range(3):
        async with database.transaction(tenant.system) as session:
            assert await erase_postings(session, file.file_id)
    left = await rows(database, tenant)
    assert 2 < left < 22
    monkeypatch.setattr(postings, "ENTRIES_PER_TRANSACTION", 1)
    assert await erase(database, tenant, file.file_id) > 5
    assert await rows(database, tenant) == 2
    assert await rows(database, tenant, "posting_removal") == 0
    assert len(await standing(database, tenant.access, "oak")) == len(kept.chunk_ids)


@pytest.mark.usefixtures("at_once_in_rows_of_terms")
async def test_removals_do_not_keep_a_round_from_merging(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [await published(database, tenant, ["oak"]) for _ in range(9)]
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, files[0].file_id)
    monkeypatch.setattr("activities.lexical_index.activity.PURGE_SECONDS", 0.0)
    result = await merged(database, tenant)
    assert (result.removals, result.rows_before) == (0, 9)
    assert await rows(database, tenant, "posting_removal") == 1


@pytest.mark.usefixtures("at_once_in_rows_of_terms")
async def test_who_waits_for_the_lock_keeps_no_connection_and_no_statement_waiting(
    database: Database, tenant: TenantFixture, application_dsn: str
) -> None:
    files = [await published(database, tenant, ["oak"]) for _ in range(10)]
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, files[0].file_id)
    small = Database(application_dsn, pool_size=1, statement_timeout_seconds=0.5)
    try:
        async with database.transaction(tenant.system) as session:
            await merge_page(session, None)
            waiting = [asyncio.create_task(merged(small, tenant)) for _ in range(3)]
            for _ in range(10):
                await asyncio.sleep(0.1)
                async with asyncio.timeout(on_a_busy_machine(1)):
                    assert await rows(small, tenant) == 10
            assert not any(each.done() for each in waiting)
        assert sum([(await each).removals for each in waiting]) == 1
    finally:
        await small.close()


async def test_only_what_was_removed_waits_for_the_lock(
    database: Database, tenant: TenantFixture
) -> None:
    kept, gone = [await published(database, tenant, ["oak"]) for _ in range(2)]
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, gone.file_id)
    async with database.transaction(tenant.system) as session:
        await merge_page(session, None)
        async with database.transaction(tenant.system) as other:
            assert not await erase_postings(other, kept.file_id)
            with pytest.raises(PostingsBusy):
                await erase_postings(other, gone.file_id)
            with pytest.raises(PostingsBusy):
                await merge_page(other, None)
    async with database.transaction(tenant.system) as session:
        assert await erase_postings(session, gone.file_id)


async def test_who_gets_no_turn_says_so(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await published(database, tenant, ["oak"])
    monkeypatch.setattr("activities.lexical_index.turn.TRIES", 2)
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, file.file_id)
    async with database.transaction(tenant.system) as session:
        await merge_page(session, None)
        with pytest.raises(DatabaseTooSlow):
            await in_turn(database, tenant.system, purge_removals)
    assert await in_turn(database, tenant.system, purge_removals) == 1


async def test_an_error_leaves_no_lock_with_the_connection(owner_dsn: str) -> None:
    with psycopg.connect(dsn_of("postgres", owner_dsn), autocommit=True) as connection:
        connection.execute("SELECT setval('lexical_number', 9223372036854775000)")
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT reserve_lexical_numbers(10000)")
        held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
        assert held.fetchone() == (0,)


async def test_long_documents_are_indexed_part_by_part(
    database: Database, tenant: TenantFixture
) -> None:
    passages = PASSAGES_PER_STATEMENT * 2 + 7
    await published(database, tenant, [f"oak w{number}" for number in range(passages)])
    found = await standing(database, tenant.access, "oak")
    first = min(found)[0]
    assert sorted(found) == [(first + place, 1, 2) for place in range(passages)]
    assert await standing(database, tenant.access, f"w{passages - 1}") == Counter(
        [(first + passages - 1, 1, 2)]
    )


async def test_nothing_is_lost_where_many_publish_delete_and_merge_at_once(
    database: Database, tenant: TenantFixture
) -> None:
    files = [await published(database, tenant, ["oak elm", "oak"]) for _ in range(10)]

    async def delete(file_id: UUID) -> None:
        async with database.transaction(tenant.system) as session:
            await delete_chunks(session, file_id)

    await asyncio.gather(
        *(published(database, tenant, ["oak ash", "oak yew"]) for _ in range(12)),
        *(delete(each.file_id) for each in files[:6]),
        *(merged(database, tenant) for _ in range(3)),
    )
    await merged(database, tenant)
    assert len(await standing(database, tenant.access, "oak")) == 2 * (4 + 12)
    assert len(await standing(database, tenant.access, "elm")) == 4
    assert len(await standing(database, tenant.access, "yew")) == 12


@pytest.mark.usefixtures("at_once_in_rows_of_terms")
async def test_a_merge_that_dies_leaves_what_was_there(
    database: Database, tenant: TenantFixture
) -> None:
    for _ in range(9):
        await published(database, tenant, ["oak elm"])
    before = await standing(database, tenant.access, "oak")
    async with database.transaction(tenant.system) as session:
        assert (await merge_page(session, None)).rows_after == 2
        await session.rollback()
    assert await standing(database, tenant.access, "oak") == before
    assert (await merged(database, tenant)).rows_before == 18


async def test_maintenance_of_one_tenant_touches_no_other(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    for _ in range(9):
        await published(database, tenant, ["oak"])
        await published(database, other_tenant, ["oak"])
    assert not set(await standing(database, tenant.access, "oak")) & set(
        await standing(database, other_tenant.access, "oak")
    )
    assert (await merged(database, tenant)).rows_before == 9
    assert await rows(database, other_tenant) == 9
    file = await published(database, other_tenant, ["elm"])
    async with database.transaction(other_tenant.system) as session:
        await delete_chunks(session, file.file_id)
    async with database.transaction(tenant.system) as session:
        assert await purge_removals(session) is None
        assert await purge_removals(session, file.file_id) is None
    assert await rows(database, other_tenant, "posting_removal") == 1


async def test_numbers_are_reserved_side_by_side(database: Database, tenant: TenantFixture) -> None:
    async def reserve(amount: int) -> range:
        async with database.transaction(tenant.access) as session:
            found = await session.execute(
                text("SELECT reserve_lexical_numbers(:amount)"), {"amount": amount}
            )
            first = int(found.scalar_one())
        return range(first, first + amount)

    reserved = await asyncio.gather(*(reserve(amount) for amount in (1, 500, 3, 70) * 5))
    every = sorted(number for numbers in reserved for number in numbers)
    assert len(set(every)) == len(every)


def test_a_full_row_stays_small() -> None:
    assert BLOCK_ENTRIES * ENTRY.itemsize < 128 * 1024

"""What was published of late waits in rows of its own: it is found as what was merged, deleted with its file,
and lost by nobody who merges meanwhile."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import text

from db.migrate import migrate
from db.queries import lexical, postings
from db.queries.asked import AskedQuery, asked_terms
from db.queries.postings import PostingsBusy, merge_unmerged, purge_removals
from db.queries.publication_statements import SHARES
from db.queries.publish import delete_chunks
from db.queries.search import FileFilter
from db.session import Database
from retrieval.lexical import search_words
from tests.conftest import TenantFixture, make_tenant
from tests.db.test_downgrades import dsn_of, revision_of
from tests.db.test_postings import merged, published, rows, standing
from tests.retrieval.published import publish_file

WORDS = ("oak", "elm", "ash", "yew", "oakland", "elmtree")
WAITING = "unmerged_posting"


async def in_sight(database: Database, tenant: TenantFixture, query: AskedQuery) -> Counter[int]:
    """How often the terms of the query stand in each passage, as who does not see all of the tenant has it
    counted."""
    async with database.transaction(tenant.access) as session:
        asked = await asked_terms(session, query, ["english"])
        ranges = await lexical.document_ranges(session, FileFilter())
        return counted(await lexical.postings_in_sight(session, asked, ranges))


async def in_full(database: Database, tenant: TenantFixture, query: AskedQuery) -> Counter[int]:
    """The same, as who sees all of it has it counted."""
    return counted(await postings_of(database, tenant, query))


async def postings_of(
    database: Database, tenant: TenantFixture, query: AskedQuery
) -> lexical.QueryPostings:
    async with database.transaction(tenant.access) as session:
        asked = await asked_terms(session, query, ["english"])
        extents = {"english": lexical.Extent(1_000, 1_000)}
        return await lexical.postings(session, asked, extents)


def counted(found: lexical.QueryPostings) -> Counter[int]:
    return Counter(
        number
        for term in found.terms
        for number, frequency in zip(term.numbers.tolist(), term.frequencies.tolist(), strict=True)
        for _ in range(int(frequency))
    )


async def delete(database: Database, tenant: TenantFixture, file_id: UUID) -> None:
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, file_id)


async def words_kept(database: Database, tenant: TenantFixture) -> set[str]:
    async with database.transaction(tenant.system) as session:
        found = await session.scalars(
            text("SELECT term FROM posting UNION SELECT unnest(terms) FROM unmerged_posting")
        )
        return set(found)


@pytest.mark.parametrize("bound", ["MAX_UNMERGED", "MAX_UNMERGED_PASSAGES"])
@pytest.mark.parametrize("words", ["oak", " ".join(f"w{number}" for number in range(1_000))])
async def test_beyond_the_bound_a_publication_goes_into_rows_of_terms(
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
    bound: str,
    words: str,
) -> None:
    """Whether each share has some of its words, or hardly one has."""
    monkeypatch.setattr(postings, bound, 2)
    for _ in range(2):
        await published(database, tenant, [f"oak {words}"])
    assert await rows(database, tenant, "posting") == 0
    await published(database, tenant, ["oak elm"])
    assert await rows(database, tenant, "posting") == 2
    assert len(await standing(database, tenant.access, "oak")) == 3
    for _ in range(6):
        await published(database, tenant, ["oak"])
    before = await standing(database, tenant.access, "oak")
    await merged(database, tenant)
    assert await rows(database, tenant, WAITING) == 0
    assert await standing(database, tenant.access, "oak") == before


async def test_passages_of_a_long_document_count_towards_the_bound(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "PASSAGES_PER_STATEMENT", 3)
    monkeypatch.setattr(postings, "MAX_UNMERGED_PASSAGES", 7)
    await published(database, tenant, ["oak", *["elm"] * 7])
    assert await rows(database, tenant, "unmerged_posting WHERE share = 0") == 3
    await published(database, tenant, ["oak"])
    assert await rows(database, tenant, "posting") == 1


async def test_terms_that_wait_are_in_order_and_in_the_shares_that_are_deleted(
    database: Database, tenant: TenantFixture
) -> None:
    """They are looked up by halves; a word in a share beyond would stay when its file is deleted."""
    words = [f"{letter}{number}" for number in range(400) for letter in ("w", "é", "ж")]
    await published(database, tenant, [" ".join(words)])
    async with database.transaction(tenant.system) as session:
        found = await session.execute(text("SELECT share, terms FROM unmerged_posting"))
        terms = {share: list(each) for share, each in found.all()}
    assert set(terms) == set(range(SHARES))
    assert all(each == sorted(each, key=str.encode) for each in terms.values())


async def test_what_an_earlier_round_left_begins_another(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(8):
        await published(database, tenant, ["oak elm"])
    monkeypatch.setattr("activities.lexical_index.activity.MAX_UNMERGED_PAGES", 0)
    await merged(database, tenant)
    assert await rows(database, tenant, "unmerged_posting WHERE share = 0") == 8
    monkeypatch.undo()
    await merged(database, tenant)
    assert await rows(database, tenant, WAITING) == 0


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (("oa",), 4),
        (("oak",), 4),
        (("oakl",), 2),
        (("oakz",), 0),
        (("a",), 1),
        (("zz",), 0),
        (("é",), 1),
        (("oa", "oakl"), 4 + 2),
    ],
)
async def test_what_begins_so_is_counted_once_of_what_waits_and_of_what_is_merged(
    database: Database, tenant: TenantFixture, prefixes: tuple[str, ...], expected: int
) -> None:
    """Before all terms of a row, behind them, between them, one of them, and two that begin the same."""
    await published(database, tenant, ["oak abbot", "oakland oakum"])
    async with database.transaction(tenant.system) as session:
        while await merge_unmerged(session) is not None:
            pass
    await published(database, tenant, ["oak élan", "oakland yew"])
    query = AskedQuery("", prefixes=prefixes)
    full = await postings_of(database, tenant, query)
    assert sum(len(term.numbers) for term in full.terms) == expected
    assert not full.truncated
    assert await in_sight(database, tenant, query) == counted(full)


@pytest.mark.parametrize("prefixes", [("w1",), ("w1", "w12"), ("w",), ("w17", "x")])
async def test_beginnings_of_very_many_terms_come_to_the_same_waiting_and_merged(
    database: Database, tenant: TenantFixture, prefixes: tuple[str, ...]
) -> None:
    """Some more terms begin so than are kept, `w17` is a term itself, and with words beside them."""
    drawn = random.Random(17)  # noqa: S311 - the same words each time
    for _ in range(3):
        words = [f"w{drawn.randrange(2_000)}" for _ in range(1_200)]
        await published(
            database, tenant, [" ".join(words[at : at + 60]) for at in range(0, 1_200, 60)]
        )
    query = AskedQuery("w17 w1200", prefixes=prefixes)
    waiting = await postings_of(database, tenant, query)
    waiting_in_sight = await in_sight(database, tenant, query)
    async with database.transaction(tenant.system) as session:
        while await merge_unmerged(session) is not None:
            pass
    merged_all = await postings_of(database, tenant, query)
    assert counted(waiting) == counted(merged_all) != Counter()
    assert waiting.truncated == merged_all.truncated
    assert waiting_in_sight == await in_sight(database, tenant, query)
    expected = {each.term: each.passages for each in merged_all.terms}
    assert {each.term: each.passages for each in waiting.terms} == expected


async def test_one_long_document_is_merged_without_others(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "PASSAGES_PER_STATEMENT", 2)
    await published(database, tenant, ["oak"] * 15)
    assert await rows(database, tenant, f"{WAITING} WHERE share = 0") == 8
    await merged(database, tenant)
    assert await rows(database, tenant, WAITING) == 0
    assert await rows(database, tenant, "posting") == 1
    assert len(await standing(database, tenant.access, "oak")) == 15


async def test_what_waits_is_deleted_with_its_file_at_once(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    kept = await published(database, tenant, ["oak elm"])
    others = await published(database, other_tenant, ["oak hidden"])
    gone = await published(database, tenant, [f"oak secret{number}" for number in range(700)])
    await delete(database, tenant, gone.file_id)
    await delete(database, tenant, others.file_id)
    assert await words_kept(database, tenant) == {"oak", "elm"}
    assert len(await standing(database, tenant.access, "oak")) == len(kept.chunk_ids)
    assert await words_kept(database, other_tenant) == {"oak", "hidden"}


async def test_who_deletes_waits_for_a_merge_and_finds_what_it_wrote(
    database: Database, tenant: TenantFixture
) -> None:
    file = await published(database, tenant, ["oak secret"])
    async with database.transaction(tenant.system) as session:
        assert await merge_unmerged(session) == (2, 2)
        deleting = asyncio.create_task(delete(database, tenant, file.file_id))
        await asyncio.sleep(0.3)
        assert not deleting.done()
    await deleting
    async with database.transaction(tenant.system) as session:
        assert await purge_removals(session) == 1
    assert await words_kept(database, tenant) == set()


async def test_a_merge_leaves_alone_what_is_being_deleted(
    database: Database, tenant: TenantFixture
) -> None:
    await published(database, tenant, ["oak elm"])
    file = await published(database, tenant, ["oak secret"])
    async with database.transaction(tenant.system) as session:
        await delete_chunks(session, file.file_id)
        async with database.transaction(tenant.system) as other:
            assert await merge_unmerged(other) == (2, 2)
    assert await words_kept(database, tenant) == {"oak", "elm"}
    assert await rows(database, tenant, WAITING) == 0


async def test_a_merge_that_is_rolled_back_leaves_what_waited(
    database: Database, tenant: TenantFixture
) -> None:
    await published(database, tenant, ["oak elm", "oak"])
    before = await standing(database, tenant.access, "oak")
    async with database.transaction(tenant.system) as session:
        assert await merge_unmerged(session) == (2, 2)
        with pytest.raises(PostingsBusy):
            async with database.transaction(tenant.system) as other:
                await merge_unmerged(other)
        await session.rollback()
    assert await rows(database, tenant, "posting") == 0
    assert await standing(database, tenant.access, "oak") == before


@pytest.mark.parametrize("seed", range(3))
async def test_words_are_counted_as_a_plain_count_has_them(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Whatever was published, deleted, merged and purged in whatever order."""
    monkeypatch.setattr(postings, "UNMERGED_PER_TRANSACTION", 3)
    chance = random.Random(seed)  # noqa: S311 - of a test
    files = dict[UUID, Sequence[str]]()
    for _ in range(25):
        act = chance.choice(("publish", "publish", "delete", "merge", "purge"))
        if act == "publish":
            monkeypatch.setattr(postings, "MAX_UNMERGED", chance.choice((0, 256)))
            passages = [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(3)]
            files[(await published(database, tenant, passages)).file_id] = passages
        elif act == "delete" and files:
            file_id = chance.choice(list(files))
            del files[file_id]
            await delete(database, tenant, file_id)
        else:
            async with database.transaction(tenant.system) as session:
                await (merge_unmerged if act == "merge" else purge_removals)(session)
    texts = [passage.split() for passages in files.values() for passage in passages]
    seen = dict[AskedQuery, list[int]]()
    for asked, is_counted in (
        (AskedQuery("oak"), lambda word: word == "oak"),
        (AskedQuery("", prefixes=("elm",)), lambda word: word.startswith("elm")),
        (AskedQuery("yew", prefixes=("oakl",)), lambda word: word in {"yew", "oakland"}),
    ):
        expected = sorted(filter(None, (sum(map(is_counted, words)) for words in texts)))
        assert sorted((await in_sight(database, tenant, asked)).values()) == expected
        seen[asked] = expected
    # Who sees all has what is deleted left out by its hits alone, until it is purged.
    done: int | None = 0
    while done is not None:
        async with database.transaction(tenant.system) as session:
            done = await purge_removals(session)
    for asked, expected in seen.items():
        assert sorted((await in_full(database, tenant, asked)).values()) == expected
    async with database.transaction(tenant.access) as session:
        asked_for = await asked_terms(session, AskedQuery(" ".join(WORDS)), ["english"])
        frequencies = await lexical.frequencies(session, asked_for)
    standing_in = Counter(word for words in texts for word in set(words))
    assert sorted(frequencies.values()) == sorted(standing_in.values())


async def test_publications_merges_and_deletions_at_once_lose_nothing(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "UNMERGED_PER_TRANSACTION", 4)
    files = [await published(database, tenant, ["oak gone", "oak"]) for _ in range(8)]

    async def merge() -> None:
        for _ in range(10):
            with suppress(PostingsBusy):
                async with database.transaction(tenant.system) as session:
                    await merge_unmerged(session)

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(published(database, tenant, ["oak elm"]))
        for file in files:
            group.create_task(delete(database, tenant, file.file_id))
        for _ in range(2):
            group.create_task(merge())
    await merged(database, tenant)
    assert await words_kept(database, tenant) == {"oak", "elm"}
    assert len(await standing(database, tenant.access, "oak")) == 8


async def test_each_search_has_what_is_merged_meanwhile_in_the_one_or_the_other_form(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postings, "UNMERGED_PER_TRANSACTION", 1)
    for _ in range(30):
        await published(database, tenant, ["oak"])
    before = await standing(database, tenant.access, "oak")
    is_over = asyncio.Event()
    seen = list[Counter[tuple[int, int, int]]]()

    async def search() -> None:
        while not is_over.is_set():
            seen.append(await standing(database, tenant.access, "oak"))

    async with asyncio.TaskGroup() as group:
        group.create_task(search())
        merged_at_all = 0
        while True:
            async with database.transaction(tenant.system) as session:
                if await merge_unmerged(session) is None:
                    break
            merged_at_all += 1
        is_over.set()
    assert merged_at_all >= 30
    assert seen
    assert all(each == before for each in seen)


async def test_what_waits_is_found_after_a_downgrade(owner_dsn: str) -> None:
    tenant = make_tenant(dsn_of("postgres", owner_dsn))
    database = Database(dsn_of("muniment_app", owner_dsn))
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm oak", "the ash"])
    before = (await search_words(database, tenant.access, "oak", FileFilter())).scores
    await database.close()
    while revision_of(owner_dsn) >= "0041":
        migrate(owner_dsn, "-1")
    with psycopg.connect(dsn_of("postgres", owner_dsn)) as connection:
        found = connection.execute("SELECT term, passages FROM posting ORDER BY term").fetchall()
    assert found == [("ash", 1), ("elm", 1), ("oak", 1)]
    migrate(owner_dsn)
    database = Database(dsn_of("muniment_app", owner_dsn))
    assert (await search_words(database, tenant.access, "oak", FileFilter())).scores == before
    await database.close()

"""Search by words: exact whatever is filtered, hidden or deleted, in languages with and without spaces."""

import random
from uuid import UUID

import numpy as np
import pytest
from sqlalchemy import text

from db.models import Collection, new_id
from db.queries.lexical import Extent, TermPostings
from db.queries.postings import forget_words, index_words
from db.queries.publish import delete_chunks
from db.queries.search import FileFilter
from db.session import Access, Database
from retrieval.bm25 import Bm25, best_passages
from retrieval.lexical import search_words
from tests.conftest import TenantFixture, make_tenant
from tests.db.test_postings import merged
from tests.retrieval.published import Published, publish_file, set_state
from tests.retrieval.test_search import bm25_by_hand

WORDS = ("oak", "elm", "ash", "yew", "fir", "bay")


def sentence(chance: random.Random) -> str:
    return " ".join(chance.choices(WORDS, k=chance.randint(1, 30)))


EVERYTHING = FileFilter()


async def scores(
    database: Database,
    access: Access,
    query: str,
    wanted: FileFilter = EVERYTHING,
    max_chunks: int = 200,
) -> dict[UUID, float]:
    return (await search_words(database, access, query, wanted, max_chunks)).scores


def by_hand(files: dict[Published, list[str]], query: str) -> dict[UUID, float]:
    places = [
        (chunk_id, content)
        for file, passages in files.items()
        for chunk_id, content in zip(file.chunk_ids, passages, strict=True)
    ]
    expected = bm25_by_hand([content for _, content in places], query) if places else {}
    return {places[index][0]: score for index, score in expected.items()}


@pytest.mark.parametrize("seed", range(3))
async def test_scores_are_exact_after_any_publications_deletions_and_merges(
    database: Database, tenant: TenantFixture, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    files: dict[Published, list[str]] = {}
    for _ in range(25):
        passages = [sentence(chance) for _ in range(chance.randint(1, 6))]
        file = await publish_file(database, tenant.access, tenant.collection_id, passages)
        files[file] = passages
        if chance.random() < 0.3:
            gone = chance.choice(list(files))
            async with database.transaction(tenant.system) as session:
                await delete_chunks(session, gone.file_id)
            del files[gone]
        if chance.random() < 0.2:
            await merged(database, tenant)
        found = await scores(database, tenant.access, "oak yew")
        assert found.keys() == by_hand(files, "oak yew").keys()
    await merged(database, tenant)
    for query in ("oak", "elm yew yew", "fir bay absent"):
        found = await scores(database, tenant.access, query)
        assert found == pytest.approx(by_hand(files, query))
        assert list(found.values()) == sorted(found.values(), reverse=True)


async def test_a_narrow_filter_finds_what_lies_below_thousands(
    database: Database, tenant: TenantFixture
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm"] * 1500)
    low = await publish_file(
        database, tenant.access, tenant.collection_id, ["oak " + "ash " * 50], media_type="a/b"
    )
    everything = await scores(database, tenant.access, "oak elm", max_chunks=2000)
    for wanted in (FileFilter(file_ids=(low.file_id,)), FileFilter(media_types=("a/%",))):
        found = await scores(database, tenant.access, "oak elm", wanted)
        assert found == {low.chunk_ids[0]: everything[low.chunk_ids[0]]}
    assert len(everything) == 1501
    assert len(await scores(database, tenant.access, "oak elm")) == 200


async def test_the_trash_does_not_keep_others_out(
    database: Database, tenant: TenantFixture
) -> None:
    top = await publish_file(database, tenant.access, tenant.collection_id, ["oak oak"] * 600)
    low = await publish_file(database, tenant.access, tenant.collection_id, ["oak elm ash"] * 20)
    await set_state(database, tenant.access, top.file_id, "trashed")
    assert (await scores(database, tenant.access, "oak")).keys() == set(low.chunk_ids)


async def test_who_sees_a_part_has_the_scores_of_that_part(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    private = Collection(
        id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
    )
    async with database.transaction(tenant.system) as session:
        session.add(private)
    chance = random.Random(5)  # noqa: S311 - a test
    seen: dict[Published, list[str]] = {}
    for number in range(12):
        passages = [sentence(chance) for _ in range(5)]
        hidden = number % 3 == 0
        place = private.id if hidden else tenant.collection_id
        file = await publish_file(database, tenant.access, place, passages)
        if not hidden:
            seen[file] = passages
    for query in ("oak", "elm yew"):
        assert await scores(database, clerk.access, query) == pytest.approx(by_hand(seen, query))


async def test_numbers_that_lie_far_apart_are_found_as_well(
    database: Database, tenant: TenantFixture
) -> None:
    chance = random.Random(9)  # noqa: S311 - a test
    files = {}
    for _ in range(4):
        passages = [sentence(chance) for _ in range(5)]
        files[await publish_file(database, tenant.access, tenant.collection_id, passages)] = (
            passages
        )
        async with database.transaction(tenant.access) as session:
            await session.execute(text("SELECT reserve_lexical_numbers(10000000)"))
    assert await scores(database, tenant.access, "oak") == pytest.approx(by_hand(files, "oak"))


async def test_k1_and_b_decide_what_repetition_and_length_count(
    database: Database, tenant: TenantFixture
) -> None:
    file = await publish_file(
        database, tenant.access, tenant.collection_id, ["oak oak oak oak elm elm elm elm", "oak"]
    )
    repeated, short = file.chunk_ids

    async def order(parameters: Bm25) -> list[UUID]:
        found = await search_words(
            database, tenant.access, "oak", FileFilter(), parameters=parameters
        )
        return list(found.scores)

    assert await order(Bm25(k1=2.0, b=0.0)) == [repeated, short]
    assert await order(Bm25(k1=2.0, b=1.0)) == [short, repeated]
    flat = await search_words(database, tenant.access, "oak", FileFilter(), parameters=Bm25(k1=0.0))
    assert len(set(flat.scores.values())) == 1


async def test_of_more_than_can_be_read_the_rarest_words_decide(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = await publish_file(
        database, tenant.access, tenant.collection_id, ["oak", "oak", "oak elm", "elm ash"]
    )
    monkeypatch.setattr("db.queries.lexical.MAX_ENTRIES", 3)
    found = await search_words(database, tenant.access, "oak elm ash", EVERYTHING)
    assert found.scores.keys() == set(file.chunk_ids[2:])
    assert found.truncated
    common = await search_words(database, tenant.access, "oak", EVERYTHING)
    monkeypatch.setattr("db.queries.lexical.MAX_ENTRIES", 2)
    alone = await search_words(database, tenant.access, "oak", EVERYTHING)
    assert alone == common, "one is always read"
    assert not alone.truncated


# ── languages ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "query"),
    [
        ("东京都政府发布了新的预算案。", "预算"),
        ("会議は来週の火曜日に開かれます。", "火曜日"),
        ("การประชุมจะจัดขึ้นในวันอังคาร", "ประชุม"),
        ("The treaty of 馬關條約 was signed in 1895.", "馬關條約"),
    ],
    ids=["Chinese", "Japanese", "Thai", "mixed"],
)
async def test_scripts_without_spaces_are_searched_by_what_stands_within(
    database: Database, tenant: TenantFixture, content: str, query: str
) -> None:
    file = await publish_file(
        database, tenant.access, tenant.collection_id, [content, "nothing of it", "没有关系"]
    )
    assert list(await scores(database, tenant.access, query)) == [file.chunk_ids[0]]


async def test_single_letters_and_pairs_of_scripts_without_spaces(
    database: Database, tenant: TenantFixture
) -> None:
    async with database.transaction(tenant.access) as session:
        found = await session.execute(
            text("SELECT to_tsvector('simple', searchable_words('東京都 a 水 b 火木'))::text")
        )
    words = {each.split(":")[0].strip("'") for each in found.scalar_one().split(" ")}
    assert words == {"東京", "京都", "a", "水", "b", "火木"}


async def test_each_document_is_stemmed_as_its_language_wants(
    database: Database, tenant: TenantFixture
) -> None:
    german = await publish_file(
        database, tenant.access, tenant.collection_id, ["Die Häuser der Hafenmeister"]
    )
    await publish_file(database, tenant.access, tenant.collection_id, ["The houses of the masters"])
    assert await scores(database, tenant.access, "Haus") == {}
    async with database.transaction(tenant.system) as session:
        await forget_words(session, german.file_id)
        await index_words(session, german.version_id, "german")
    assert list(await scores(database, tenant.access, "Haus")) == [german.chunk_ids[0]]
    assert len(await scores(database, tenant.access, "house")) == 1
    await merged(database, tenant)
    assert list(await scores(database, tenant.access, "Hafenmeistern")) == [german.chunk_ids[0]]


# ── pruning ─────────────────────────────────────────────────────────────────────────────────────


def random_postings(chance: random.Random, passages: int) -> list[TermPostings]:
    terms = []
    for index in range(chance.randint(1, 6)):
        amount = max(1, int(passages * chance.random() ** 4))
        numbers = np.array(sorted(chance.sample(range(1, passages + 1), amount)), np.int64)
        frequencies = np.array(chance.choices(range(1, 6), k=amount), np.uint8)
        lengths = (numbers * 7919 % 90 + 6).astype(np.uint16)
        occurrences = chance.randint(1, 3)
        terms.append(
            TermPostings("english", f"w{index}", occurrences, numbers, frequencies, lengths, amount)
        )
    return terms


@pytest.mark.parametrize("seed", range(40))
def test_what_is_left_out_would_not_be_among_the_best(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)  # noqa: S311 - a test
    passages = chance.choice((50, 400, 3_000))
    terms = random_postings(chance, passages)
    extents = {"english": Extent(passages, 50 * passages)}
    most = chance.choice((1, 10, 200))
    whole = best_passages(terms, extents, Bm25(), most)
    monkeypatch.setattr("retrieval.bm25.FREQUENT", 1)
    pruned = best_passages(terms, extents, Bm25(), most)
    assert pruned.scores == pytest.approx(whole.scores, rel=1e-5)
    assert len(set(pruned.numbers.tolist())) == len(pruned.numbers)

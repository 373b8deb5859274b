"""Phrases, beginnings of words, exclusions and fields: of words, of meaning, and who sees what."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from db.models import Collection, new_id
from db.queries import lexical as lexical_queries
from db.queries.postings import forget_words, index_words
from db.session import Access, Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval import lexical
from retrieval.conditions import fulfilling_texts
from retrieval.query_language import parse_query
from retrieval.request import SearchRequest
from retrieval.response import SearchResponse
from retrieval.search import Searcher
from tests.conftest import TenantFixture, make_tenant
from tests.db.test_postings import merged
from tests.retrieval.published import Passage, Published, publish_file

CLERKS = (
    "The town clerk keeps the harbour books.",
    "A clerk of the town keeps the books of the harbour.",
    "Inventories were drawn up by the harbour master's inventive nephew.",
    "The books of the mill are drafts.",
)


@pytest.fixture
def searcher(database: Database, embedder: Embedder, texts: SealedTexts) -> Searcher:
    return Searcher(database, embedder, texts)


@pytest.fixture
async def clerks(database: Database, tenant: TenantFixture, embedder: Embedder) -> Published:
    return await publish_file(
        database, tenant.access, tenant.collection_id, CLERKS, embedder=embedder
    )


async def search(
    searcher: Searcher, access: Access, query: str, mode: str = "lexical", **options: object
) -> SearchResponse:
    request = {"query": query, "mode": mode, "show_duplicates": True, **options}
    return await searcher.search(access, SearchRequest.model_validate(request))


def places(found: SearchResponse, file: Published) -> set[int]:
    return {file.chunk_ids.index(hit.chunk_id) for hit in found.data}


ALL_MODES = pytest.mark.parametrize("mode", ["lexical", "vector", "hybrid"])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"town clerk"', {0}),
        ('"clerks of the town"', {1}),
        ('books "town clerk"', {0}),
        ('"clerk town"', set()),
        ('books -"town clerk"', {1, 3}),
        ("books -clerks", {3}),
        ("books -draft*", {0, 1}),
        ("invent*", {2}),
        ("harbours*", {0, 1, 2}),
        ("zebra*", set()),
        ("-clerk", set()),
        ("the of", set()),
        ('"the of"', set()),
        ('books "keeps the"', {0, 1}),
        ("books -the", set()),
        ('"..." books', {0, 1, 3}),
        ('mill "unknown word"', set()),
        ('"invent" invent*', {2}),
        ('keeps <b "town clerk" e> x', {0}),
    ],
)
async def test_words_with_conditions(
    searcher: Searcher,
    tenant: TenantFixture,
    clerks: Published,
    query: str,
    expected: set[int],
) -> None:
    found = await search(searcher, tenant.access, query)
    assert places(found, clerks) == expected
    assert not found.truncated


@pytest.mark.parametrize("mode", ["vector", "hybrid"])
async def test_conditions_bind_what_is_found_by_meaning(
    searcher: Searcher, tenant: TenantFixture, clerks: Published, mode: str
) -> None:
    assert len((await search(searcher, tenant.access, "ledger -clerk", mode)).data) == 2
    excluded = await search(searcher, tenant.access, "ledger -clerk -inventories", mode)
    assert places(excluded, clerks) == {3}
    phrase = await search(searcher, tenant.access, 'ledger "town clerk"', mode)
    assert places(phrase, clerks) == {0}
    assert not phrase.truncated
    nothing = await search(searcher, tenant.access, "-clerk", mode)
    assert nothing.data == ()
    assert not nothing.degraded


async def test_the_response_says_how_the_query_was_understood(
    searcher: Searcher, tenant: TenantFixture, clerks: Published
) -> None:
    found = await search(searcher, tenant.access, 'book* "town clerk" -draft')
    assert found.understood is not None
    assert found.understood.model_dump(
        mode="json", include={"words", "prefixes", "conditions"}
    ) == {
        "words": "town clerk",
        "prefixes": ["book"],
        "conditions": ['"town clerk"', '-"draft"'],
    }
    plain = await search(searcher, tenant.access, '"town clerk" -harbour', operators=False)
    assert plain.understood is None
    assert 0 in places(plain, clerks)


async def test_fields(
    searcher: Searcher, database: Database, tenant: TenantFixture, embedder: Embedder
) -> None:
    first = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        [Passage("oak and elm", headings=("Scope of work",)), Passage("the scope of oak")],
        name="Invoice_2024%.pdf",
        embedder=embedder,
    )
    second = await publish_file(
        database, tenant.access, tenant.collection_id, ["oak"], name="notes.txt", embedder=embedder
    )
    for mode in ("lexical", "vector", "hybrid"):
        found = await search(searcher, tenant.access, "oak heading:scope", mode)
        assert [hit.chunk_id for hit in found.data] == [first.chunk_ids[0]]
        found = await search(searcher, tenant.access, 'oak -heading:"scope of work"', mode)
        assert {hit.chunk_id for hit in found.data} == {first.chunk_ids[1], *second.chunk_ids}
        found = await search(searcher, tenant.access, "oak name:invoice_2024%", mode)
        assert {hit.chunk_id for hit in found.data} == set(first.chunk_ids)
        found = await search(searcher, tenant.access, "oak -name:INVOICE", mode)
        assert {hit.chunk_id for hit in found.data} == set(second.chunk_ids)
        assert (await search(searcher, tenant.access, "oak name:_otes", mode)).data == ()
        found = await search(searcher, tenant.access, "heading:scope scope*", mode)
        assert [hit.chunk_id for hit in found.data] == [first.chunk_ids[0]]
    assert (await search(searcher, tenant.access, "name:invoice")).data == ()


async def test_a_phrase_is_found_below_thousands_that_have_its_words(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm oak elm"] * 600)
    low = await publish_file(
        database, tenant.access, tenant.collection_id, ["elm oak " + "ash " * 60, "yew"]
    )
    found = await search(searcher, tenant.access, '"elm oak ash"')
    assert [hit.chunk_id for hit in found.data] == [low.chunk_ids[0]]
    assert not found.truncated


async def test_what_is_not_looked_at_is_told(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lexical, "JUDGED_AT_MOST", 20)
    monkeypatch.setattr(lexical, "JUDGED_AT_ONCE", 7)
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm"] * 300)
    await publish_file(database, tenant.access, tenant.collection_id, ["elm oak " + "ash " * 60])
    found = await search(searcher, tenant.access, '"elm oak"')
    assert (found.data, found.truncated) == ((), True)
    all_of_them = await search(searcher, tenant.access, '"oak elm"', top_k=15)
    assert len(all_of_them.data) == 15


async def test_each_candidate_is_judged_once_and_for_some_time_only(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, judged = lexical.judged_passages, list[UUID]()

    async def counted(session: Any, chunk_ids: Sequence[UUID], *given: Any) -> Any:
        judged.extend(chunk_ids)
        return await judge(session, chunk_ids, *given)

    monkeypatch.setattr(lexical, "judged_passages", counted)
    monkeypatch.setattr(lexical, "JUDGED_AT_MOST", 20)
    await publish_file(database, tenant.access, tenant.collection_id, ["oak elm"] * 300)
    for wanted in ("", " name:doc"):
        judged.clear()
        found = await search(searcher, tenant.access, '"elm oak"' + wanted)
        assert (found.data, found.truncated) == ((), True)
        assert len(judged) == len(set(judged)) > 0
    monkeypatch.setattr(lexical, "JUDGED_AT_ONCE", 7)
    monkeypatch.setattr(lexical, "JUDGED_FOR_SECONDS", -1)
    given_up = await search(searcher, tenant.access, '"oak elm"', top_k=20)
    assert (len(given_up.data), given_up.truncated) == (7, True)


VERDICTS = (
    "He was found not guilty.",
    "He was found guilty.",
    "The clerks of town",
    "The clerk for town",
    "A to do list",
    "A list",
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('"not guilty"', {0}),
        ('guilty -"not guilty"', {1}),
        ('"was found"', {0, 1}),
        ('"clerk of towns"', {2}),
        ('clerk -"clerks for town"', {2}),
        ('list -"to do list"', {5}),
        ('"a list"', {5}),
    ],
)
async def test_words_that_a_language_leaves_out_belong_to_a_phrase(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    query: str,
    expected: set[int],
) -> None:
    file = await publish_file(
        database, tenant.access, tenant.collection_id, VERDICTS, embedder=embedder
    )
    for mode in ("lexical", "vector"):
        assert places(await search(searcher, tenant.access, query, mode), file) >= expected
    assert places(await search(searcher, tenant.access, query), file) == expected
    for place in expected:
        assert fulfils_sealed(query, VERDICTS[place])


async def published_as(
    database: Database, tenant: TenantFixture, language: str, passages: Sequence[str]
) -> Published:
    file = await publish_file(database, tenant.access, tenant.collection_id, passages)
    async with database.transaction(tenant.system) as session:
        await forget_words(session, file.file_id)
        await index_words(session, file.version_id, language)
    return file


async def test_phrases_and_exclusions_are_those_of_the_documents_language(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    german = await published_as(
        database, tenant, "german", ["Die alten Häuser am Hafen", "Der Hafen der alten Leute"]
    )
    chinese = await published_as(
        database, tenant, "simple", ["东京都政府发布了新的预算案。", "预案和算法，预算草案"]
    )
    assert places(await search(searcher, tenant.access, '"alte Häuser"'), german) == {0}
    assert places(await search(searcher, tenant.access, "Hafen -Haus"), german) == {1}
    assert places(await search(searcher, tenant.access, '"预算案"'), chinese) == {0}
    assert places(await search(searcher, tenant.access, "预算 -政府"), chinese) == {1}


# ── beginnings of words ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_restricted", [False, True])
async def test_of_too_many_words_the_commonest_stand_for_their_beginning(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_restricted: bool,
) -> None:
    access = tenant.access
    if is_restricted:
        clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
        access = clerk.access
        private = Collection(
            id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
        )
        async with database.transaction(tenant.system) as session:
            session.add(private)
        # Common, but nothing that the clerk could see.
        await publish_file(database, tenant.access, private.id, ["oakd"] * 9)
    file = await publish_file(
        database, tenant.access, tenant.collection_id, ["oaka oakb", "oaka oakb", "oakb", "oakc"]
    )
    await merged(database, tenant)
    whole = await search(searcher, access, "oak*")
    assert places(whole, file) == {0, 1, 2, 3}
    assert not whole.truncated
    monkeypatch.setattr(lexical_queries, "MAX_BEGUN", 2)
    cut = await search(searcher, access, "oak*")
    assert places(cut, file) == {0, 1, 2}
    assert cut.truncated


async def test_words_that_begin_so_count_as_one_word(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    """A rare one among them is no better than a common one."""
    file = await publish_file(
        database, tenant.access, tenant.collection_id, ["oaka x", "oaka x", "oaka x", "oakb x"]
    )
    found = await search(searcher, tenant.access, "oak*")
    assert places(found, file) == {0, 1, 2, 3}
    assert len({hit.score for hit in found.data}) == 1


async def test_a_word_and_what_begins_with_it_are_one_for_who_sees_a_part(
    searcher: Searcher, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    passages = ["city", "cityscape", "cityscape", "oak"]
    await publish_file(database, tenant.access, tenant.collection_id, passages)
    whole = await search(searcher, tenant.access, "city*")
    await add_private(database, tenant)
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    seen = await search(searcher, clerk.access, "city*")
    assert [(hit.chunk_id, hit.score) for hit in seen.data] == [
        (hit.chunk_id, hit.score) for hit in whole.data
    ]
    assert len(seen.data) == 3


async def add_private(database: Database, tenant: TenantFixture) -> None:
    async with database.transaction(tenant.system) as session:
        session.add(
            Collection(
                id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
            )
        )


# ── who sees what ───────────────────────────────────────────────────────────────────────────────


@ALL_MODES
async def test_conditions_find_nothing_that_is_hidden(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    clerks: Published,
    postgres_dsn: str,
    mode: str,
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    private = Collection(
        id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
    )
    async with database.transaction(tenant.system) as session:
        session.add(private)
    await publish_file(database, tenant.access, private.id, ["The town clerk has a secret book."])
    for query in ('"town clerk"', "clerk* -secret", "boo*", "clerk heading:x", "clerk name:doc"):
        seen = await search(searcher, clerk.access, query, mode)
        assert {hit.file_id for hit in seen.data} <= {clerks.file_id}
        assert not seen.truncated
        assert (await search(searcher, other_tenant.access, query, mode)).data == ()
    assert (await search(searcher, clerk.access, '"secret book"', mode)).data == ()


def file_ids(found: SearchResponse) -> set[UUID]:
    return {hit.file_id for hit in found.data}


# ── any input ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "query",
    [
        '"unbalanced',
        "-",
        '""',
        "\x01\x02 \x7f",
        "-" * 5_000,
        '"' * 9_999,
        "' | & ! :* <-> \\ '' ('a",
        "-'| -\\ -a'b* a'b* a\\b*",
        "word " * 2_000,
        " ".join(f"w{number}*" for number in range(1_400)),
        " ".join(f'"a{number} b"' for number in range(1_000)),
        " ".join(f"-w{number}" for number in range(1_400)),
        "\ufdd0\ufdd1\U0010ffff* \u0e01*",
        "http://a.b/c?d=e* user@host.org* -1.5e10 a_b-c*",
        "clerk " + "a" * 2_100 + "* -" + "b" * 5_000 + "*",
    ],
)
@pytest.mark.parametrize("mode", ["lexical", "hybrid"])
async def test_any_text_is_a_query(
    searcher: Searcher, tenant: TenantFixture, clerks: Published, query: str, mode: str
) -> None:
    found = await search(searcher, tenant.access, query, mode)
    assert not found.degraded
    assert file_ids(found) <= {clerks.file_id}


# ── sealed texts, which PostgreSQL does not see ─────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("query", "holds"),
    [
        ('"town clerks"', True),
        ('"clerk town"', False),
        ('"of the town"', True),
        ("-clerk", False),
        ("-mill", True),
        ("-harb*", False),
        ("-well-k*", False),
        ("-well-s*", True),
        ("-foo.ba*", False),
        ("-of-t*", False),
        ("-to-t*", True),
        ("heading:scopes", True),
        ("heading:town", False),
        ('"预算案"', True),
        ('"算预"', False),
        ("-预算", False),
    ],
)
def test_sealed_texts_are_judged_as_others_are(query: str, holds: bool) -> None:
    text = "Books of the town clerk at the harbour, well-kept at foo.bar. 新的预算案。"
    assert fulfils_sealed(query, text, ("Scope of work",)) is holds


def fulfils_sealed(query: str, text: str, headings: Sequence[str] = ()) -> bool:
    chunk_id = new_id()
    conditions = parse_query(query).asked.conditions
    return fulfilling_texts(conditions, {chunk_id: (text, headings)})[chunk_id]


def test_many_long_sealed_texts_are_judged_in_no_time() -> None:
    text = " ".join(f"word{number} harbours" for number in range(175))
    conditions = parse_query(" ".join(f"-books{number}" for number in range(32))).asked.conditions
    started = time.process_time()
    held = fulfilling_texts(conditions, {new_id(): (text, ()) for _ in range(400)})
    assert all(held.values())
    assert time.process_time() - started < 1

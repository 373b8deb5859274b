"""Words that mean the same are found, and count less than the word itself."""

from collections.abc import Sequence

import pytest

from db.models import Collection, new_id
from db.queries import lexical as lexical_queries
from db.queries.postings import forget_words, index_words
from db.queries.search import FileFilter
from db.queries.synonyms import SynonymRule, replace_rules
from db.session import Access, Database
from muniment.objects import SealedTexts
from retrieval.lexical import LexicalResult, search_words
from retrieval.request import SearchMode, SearchRequest
from retrieval.search import Searcher
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import Published, publish_file

PASSAGES = (
    "A car stood in the yard.",
    "An automobile stood in the yard.",
    "Of paid leave nothing is said here.",
    "Employees leave when they are paid.",
    "The PTO of each year.",
    "A motor vehicle stood in the yard.",
)
RULES = (
    SynonymRule(("car", "automobile", "motor vehicle")),
    SynonymRule(("PTO",), ("paid leave",)),
)


async def set_rules(
    database: Database, tenant: TenantFixture, rules: Sequence[SynonymRule] = RULES
) -> None:
    async with database.transaction(tenant.system) as session:
        await replace_rules(session, rules)


@pytest.fixture
async def published(database: Database, tenant: TenantFixture) -> Published:
    await set_rules(database, tenant)
    return await publish_file(database, tenant.access, tenant.collection_id, PASSAGES)


async def found(database: Database, access: Access, query: str) -> LexicalResult:
    return await search_words(database, access, query, FileFilter())


def order(result: LexicalResult, file: Published) -> list[int]:
    return [file.chunk_ids.index(chunk_id) for chunk_id in result.scores]


@pytest.mark.parametrize(
    ("query", "expected", "synonyms"),
    [
        ("cars", [0, 1, 5], ("automobile", "motor vehicle")),
        ("Automobiles", [1, 0, 5], ("car", "motor vehicle")),
        ("motor vehicles", [5, 0, 1], ("car", "automobile")),
        ("PTO", [4, 2, 3], ("paid leave",)),
        ("paid leave", [3, 2], ()),
        ("vehicle", [5], ()),
    ],
)
async def test_each_rule_finds_what_it_says(
    database: Database,
    tenant: TenantFixture,
    published: Published,
    query: str,
    expected: list[int],
    synonyms: tuple[str, ...],
) -> None:
    result = await found(database, tenant.access, query)
    assert sorted(order(result, published)) == sorted(expected)
    assert order(result, published)[0] == expected[0], "the word itself counts most"
    assert result.synonyms == synonyms


async def test_who_sees_a_part_has_the_scores_of_that_part(
    database: Database, tenant: TenantFixture, published: Published, postgres_dsn: str
) -> None:
    whole = await found(database, tenant.access, "cars PTO yard")
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    private = Collection(
        id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
    )
    async with database.transaction(tenant.system) as session:
        session.add(private)
    await publish_file(database, tenant.access, private.id, ["automobile car motor vehicle"] * 5)
    seen = await found(database, clerk.access, "cars PTO yard")
    assert seen.scores == pytest.approx(whole.scores)
    assert not seen.truncated


async def test_another_tenants_rules_hold_for_nobody_else(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    await set_rules(database, other_tenant)
    file = await publish_file(database, tenant.access, tenant.collection_id, PASSAGES)
    assert order(await found(database, tenant.access, "car"), file) == [0]


async def test_rules_are_stemmed_as_the_documents_are(
    database: Database, tenant: TenantFixture
) -> None:
    await set_rules(
        database, tenant, [SynonymRule(("Haus", "Gebäude")), SynonymRule(("预算", "经费"))]
    )
    german = await publish_file(
        database, tenant.access, tenant.collection_id, ["Die Häuser", "Des Gebäudes", "新的经费"]
    )
    async with database.transaction(tenant.system) as session:
        await forget_words(session, german.file_id)
        await index_words(session, german.version_id, "german")
    assert order(await found(database, tenant.access, "Häusern"), german) == [0, 1]
    assert order(await found(database, tenant.access, "预算"), german) == [2]


async def test_rules_do_no_harm_to_phrases_and_exclusions(
    database: Database, tenant: TenantFixture, published: Published, texts: SealedTexts
) -> None:
    searcher = Searcher(database, None, texts)

    async def places(query: str) -> list[int]:
        request = SearchRequest(query=query, mode=SearchMode.LEXICAL)
        hits = (await searcher.search(tenant.access, request)).data
        return [published.chunk_ids.index(hit.chunk_id) for hit in hits]

    assert await places('"car"') == [0]
    assert await places("yard -car") == [1, 5]
    assert set(await places("car -automobile")) == {0, 5}
    phrase = SearchRequest(query='"car" yard', mode=SearchMode.LEXICAL)
    understood = (await searcher.search(tenant.access, phrase)).understood
    assert understood is not None
    assert understood.synonyms == ()
    response = await searcher.search(
        tenant.access, SearchRequest(query="car", mode=SearchMode.LEXICAL)
    )
    assert response.understood is not None
    assert response.understood.synonyms == ("automobile", "motor vehicle")
    marked = {hit.text[start:end] for hit in response.data for start, end in hit.highlights}
    assert marked == {"car", "automobile", "motor", "vehicle"}


async def test_a_common_synonym_does_not_push_the_words_own_passages_down(
    database: Database, tenant: TenantFixture
) -> None:
    await set_rules(database, tenant, [SynonymRule(("yew", "tree"))])
    common = ["tree " * 3 + f"w{number}" for number in range(50)]
    file = await publish_file(
        database, tenant.access, tenant.collection_id, [*common, "one yew stood here", "oak"]
    )
    result = await found(database, tenant.access, "yew")
    assert order(result, file)[0] == 50
    assert len(result.scores) == 51


async def test_a_common_synonym_does_not_make_its_word_a_common_one(
    database: Database, tenant: TenantFixture
) -> None:
    await set_rules(database, tenant, [SynonymRule(("yew", "tree"))])
    passages = ["tree"] * 30 + ["yew", "disease", "disease"] + ["oak"] * 17
    file = await publish_file(database, tenant.access, tenant.collection_id, passages)
    assert order(await found(database, tenant.access, "yew disease"), file)[0] == 30


async def test_rules_of_another_word_keep_none_from_being_found(
    database: Database, tenant: TenantFixture
) -> None:
    rules = [SynonymRule((f"report {number}", f"paper {number}")) for number in range(60)]
    await set_rules(database, tenant, [*rules, *RULES])
    file = await publish_file(database, tenant.access, tenant.collection_id, PASSAGES)
    assert set(order(await found(database, tenant.access, "report car"), file)) == {0, 1, 5}


@pytest.mark.parametrize("is_restricted", [False, True])
async def test_synonyms_are_cut_before_the_word_itself(
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
    postgres_dsn: str,
    *,
    is_restricted: bool,
) -> None:
    access = tenant.access
    if is_restricted:
        access = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False).access
        async with database.transaction(tenant.system) as session:
            session.add(
                Collection(
                    id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
                )
            )
    await set_rules(database, tenant, [SynonymRule(("yew", "tree"))])
    yew = await publish_file(database, tenant.access, tenant.collection_id, ["yew", "yew oak"])
    for _ in range(3):
        await publish_file(database, tenant.access, tenant.collection_id, ["tree"] * 2)
    whole = await found(database, access, "yew")
    assert (len(whole.scores), whole.truncated) == (8, False)
    monkeypatch.setattr(lexical_queries, "MAX_ENTRIES", 4)
    cut = await found(database, access, "yew")
    assert cut.scores.keys() == set(yew.chunk_ids)
    assert cut.truncated


async def test_of_a_word_and_its_synonyms_too_many_entries_are_cut(
    database: Database,
    tenant: TenantFixture,
    monkeypatch: pytest.MonkeyPatch,
    postgres_dsn: str,
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    async with database.transaction(tenant.system) as session:
        session.add(
            Collection(
                id=new_id(), tenant_id=tenant.tenant_id, name="private", visibility="private"
            )
        )
    await set_rules(database, tenant)
    chunk_ids = set()
    for content in ("car", "automobile", "car"):
        newest = await publish_file(database, tenant.access, tenant.collection_id, [content])
        chunk_ids |= set(newest.chunk_ids)
    monkeypatch.setattr(lexical_queries, "MAX_ENTRIES", 1)
    for access in (tenant.access, clerk.access):
        result = await found(database, access, "car")
        assert result.truncated
        assert set(newest.chunk_ids) <= result.scores.keys() < chunk_ids

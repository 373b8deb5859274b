"""What is shown of hits that a query with operators found."""

import pytest

from db.queries.synonyms import SynonymRule, replace_rules
from db.session import Access, Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval.request import SearchRequest
from retrieval.response import SearchResponse
from retrieval.search import Searcher
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import Passage, private_collection, publish_file

LEASE = (
    "The tenant gives notice of the harbour store in writing, three months before the end of the term,"
    " and the clerk enters it into the book of leases, where it stands until the keys are handed over to"
    " the master of the harbour and the deposit is paid back."
)
DUES = (
    Passage("Dues are paid at the gate.", ("Harbours", "Dues")),
    Passage("The lighthouse keeper is exempt.", ("Harbours", "Dues")),
    Passage("Ferries pay half.", ("Harbours", "Dues")),
)


@pytest.fixture
def searcher(database: Database, embedder: Embedder, texts: SealedTexts) -> Searcher:
    return Searcher(database, embedder, texts)


async def search(
    searcher: Searcher, access: Access, query: str, **options: object
) -> SearchResponse:
    request = SearchRequest.model_validate({"query": query, "mode": "lexical", **options})
    return await searcher.search(access, request)


@pytest.mark.parametrize("mode", ["lexical", "vector", "hybrid"])
async def test_conditions_do_not_hold_for_what_stands_around_a_hit(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    mode: str,
) -> None:
    await publish_file(
        database, tenant.access, tenant.collection_id, DUES, name="dues.txt", embedder=embedder
    )
    query = '"lighthouse keeper" -ferries -gate name:dues'
    context = {"before": 1, "after": 1, "section": True}
    found = await search(searcher, tenant.access, query, mode=mode, context=context)
    assert [hit.text for hit in found.data] == [DUES[1].text]
    around = found.data[0].context
    assert around is not None
    assert around.section is not None
    assert [each.text for each in (*around.before, *around.after)] == [DUES[0].text, DUES[2].text]
    assert around.section.text == "\n".join(each.text for each in DUES)


async def test_only_what_fulfils_the_conditions_is_counted_as_a_copy(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    for name in ("lease.txt", "copy.txt", "draft.txt"):
        await publish_file(database, tenant.access, tenant.collection_id, [LEASE], name=name)
    for query, duplicates in (
        ('"harbour store"', 2),
        ('"harbour store" -name:draft', 1),
        ('"harbour store" -name:draft -name:copy', 0),
    ):
        found = await search(searcher, tenant.access, query)
        assert [hit.duplicates for hit in found.data] == [duplicates]


async def test_a_synonym_counts_half_an_occurrence(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    other = LEASE.replace("book", "register")
    for passage in (LEASE, other):
        await publish_file(database, tenant.access, tenant.collection_id, [passage])
    async with database.transaction(tenant.system) as session:
        await replace_rules(session, [SynonymRule(("book", "register"))])
    found = await search(searcher, tenant.access, "book", explain=True)
    assert [hit.text for hit in found.data] == [LEASE, other]
    explanations = [hit.explanation for hit in found.data if hit.explanation is not None]
    assert [term.occurrences for each in explanations for term in each.terms] == [1.0, 0.5]


@pytest.mark.parametrize("is_admin", [True, False])
async def test_what_each_word_gave_is_told_of_phrases_and_beginnings(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
    *,
    is_admin: bool,
) -> None:
    reader = make_tenant(postgres_dsn, tenant.name, principal="reader", is_admin=is_admin)
    await private_collection(database, tenant.access)
    await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        ["Harbour dues for cranes and crates.", "Harbour dues.", "Dues of the harbour cranes."],
    )
    found = await search(searcher, reader.access, '"harbour dues" cra* -ferry', explain=True)
    assert len(found.data) == 2
    for hit in found.data:
        assert hit.explanation is not None
        assert hit.scores.lexical == pytest.approx(
            sum(term.score for term in hit.explanation.terms), rel=1e-5
        )
    assert found.data[0].explanation is not None
    given = {term.term: term.occurrences for term in found.data[0].explanation.terms}
    assert given == {"harbour": 1, "due": 1, "cra*": 2}


async def test_a_quote_is_a_phrase_and_weighed_as_a_quote(
    searcher: Searcher, database: Database, tenant: TenantFixture, embedder: Embedder
) -> None:
    published = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        ["The book of leases is kept.", "Leases of the book are kept."],
        embedder=embedder,
    )
    query = '"book of leases"'
    phrase = await search(searcher, tenant.access, query, mode="hybrid", explain=True)
    words = await search(
        searcher, tenant.access, query, mode="hybrid", explain=True, operators=False
    )
    for found in (phrase, words):
        assert found.explanation is not None
        assert found.explanation.query_type == "quote"
    assert [hit.chunk_id for hit in phrase.data] == [published.chunk_ids[0]]
    assert {hit.chunk_id for hit in words.data} == set(published.chunk_ids)
    assert phrase.understood is not None
    assert words.understood is None

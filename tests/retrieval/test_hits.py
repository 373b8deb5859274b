"""What is shown of what was found: each thing once, so many of a file, with what stands around it."""

import pytest

from db.session import Access, Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval.query_types import ALPHAS, QueryType
from retrieval.request import SearchRequest
from retrieval.response import HitContext, SearchResponse
from retrieval.search import MAX_ALSO_IN, Searcher
from retrieval.surroundings import SECTION_CHARACTERS
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import (
    Passage,
    private_collection,
    publish_file,
    publish_version,
)

NOTICE = (
    "The tenant gives notice of the harbour store in writing, three months before the end of the term,"
    " and the clerk enters it into the book of leases."
)


@pytest.fixture
def searcher(database: Database, texts: SealedTexts) -> Searcher:
    return Searcher(database, None, texts)


async def search(
    searcher: Searcher, access: Access, query: str, **options: object
) -> SearchResponse:
    request = SearchRequest.model_validate({"query": query, "mode": "lexical", **options})
    return await searcher.search(access, request)


# ── said once ───────────────────────────────────────────────────────────────────────────────────


async def test_copies_are_shown_once_and_counted(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    for number in range(MAX_ALSO_IN + 3):
        await publish_file(
            database, tenant.access, tenant.collection_id, [NOTICE], name=f"copy {number}.txt"
        )
    other = await publish_file(
        database, tenant.access, tenant.collection_id, ["The harbour store burnt down."]
    )
    found = await search(searcher, tenant.access, "harbour store notice", top_k=2)
    first, second = found.data
    assert first.duplicates >= MAX_ALSO_IN
    assert len(first.also_in) == MAX_ALSO_IN
    assert {each.name for each in first.also_in} < {f"copy {number}.txt" for number in range(99)}
    assert first.chunk_id not in {each.chunk_id for each in first.also_in}
    assert (second.chunk_id, second.duplicates) == (other.chunk_ids[0], 0)


async def test_copies_are_shown_where_that_is_asked_for(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    for _ in range(3):
        await publish_file(database, tenant.access, tenant.collection_id, [NOTICE])
    found = await search(searcher, tenant.access, "harbour notice", show_duplicates=True)
    assert [hit.duplicates for hit in found.data] == [0, 0, 0]


async def test_a_copy_that_may_not_be_read_is_not_counted(
    searcher: Searcher, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    hidden = await private_collection(database, tenant.access)
    await publish_file(
        database, tenant.access, hidden, [NOTICE], owner_id=tenant.principal_id, name="hidden"
    )
    seen = await publish_file(database, tenant.access, tenant.collection_id, [NOTICE])
    assert (await search(searcher, tenant.access, "harbour notice")).data[0].duplicates == 1
    found = await search(searcher, clerk.access, "harbour notice")
    assert [(hit.chunk_id, hit.duplicates) for hit in found.data] == [(seen.chunk_ids[0], 0)]


async def test_as_many_hits_of_a_file_as_were_asked_for(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    long = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        [f"harbour harbour harbour, berth {number}" for number in range(60)],
    )
    short = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        ["The harbour master keeps a list of berths."],
    )
    found = await search(searcher, tenant.access, "harbour", top_k=3, max_per_file=2)
    assert [hit.file_id for hit in found.data] == [long.file_id, long.file_id, short.file_id]


# ── what stands around a hit ────────────────────────────────────────────────────────────────────

CHAPTERS = (
    Passage("Of harbours in general.", ("Harbours",)),
    Passage("Dues are paid at the gate.", ("Harbours", "Dues")),
    Passage("The lighthouse keeper is exempt.", ("Harbours", "Dues"), pages=(2,)),
    Passage("Ferries pay half.", ("Harbours", "Dues", "Ferries"), pages=(2, 3)),
    Passage("Cranes are hired by the hour.", ("Harbours", "Cranes"), pages=(3,)),
)


async def context_of(
    searcher: Searcher, access: Access, query: str, **context: object
) -> HitContext:
    hit = (await search(searcher, access, query, context=context)).data[0]
    assert hit.context is not None
    return hit.context


async def test_neighbours_and_section_come_with_the_hit(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, CHAPTERS)
    found = await context_of(
        searcher, tenant.access, "lighthouse keeper", before=2, after=1, section=True
    )
    assert [each.text for each in found.before] == [CHAPTERS[0].text, CHAPTERS[1].text]
    assert [each.text for each in found.after] == [CHAPTERS[3].text]
    assert found.section is not None
    assert found.section.headings == ("Harbours", "Dues")
    assert found.section.text == "\n".join(each.text for each in CHAPTERS[1:4])
    assert (found.section.pages, found.section.truncated) == ((1, 2, 3), False)


async def test_at_the_ends_of_a_document_there_is_less(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, ["A lone lighthouse."])
    found = await context_of(searcher, tenant.access, "lighthouse", before=5, after=5, section=True)
    assert found == HitContext(before=(), after=(), section=None)


async def test_a_long_section_is_cut_on_both_sides(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    passages = [Passage(f"line {'x' * 700}", ("Log",)) for _ in range(40)]
    passages[20] = Passage("the lighthouse", ("Log",))
    await publish_file(database, tenant.access, tenant.collection_id, passages)
    found = await context_of(searcher, tenant.access, "lighthouse", section=True)
    assert found.section is not None
    assert found.section.truncated
    before, _, after = found.section.text.partition("the lighthouse")
    assert abs(before.count("line") - after.count("line")) <= 1
    assert SECTION_CHARACTERS - 1_000 < len(found.section.text) <= SECTION_CHARACTERS


async def test_a_section_goes_on_beside_a_passage_that_is_too_long(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    texts = ("table " * SECTION_CHARACTERS, "the lighthouse", "its keeper")
    passages = [Passage(each, ("Log",)) for each in texts]
    await publish_file(database, tenant.access, tenant.collection_id, passages)
    found = await context_of(searcher, tenant.access, "lighthouse", section=True)
    assert found.section is not None
    assert (found.section.text, found.section.truncated) == ("the lighthouse\nits keeper", True)


async def test_neighbours_are_those_of_the_version_that_is_read(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    first = await publish_file(
        database, tenant.access, tenant.collection_id, ["The keeper.", "Of the lighthouse.", "Old."]
    )
    await publish_version(database, tenant.access, first.file_id, 2, ["The lighthouse.", "New."])
    found = await context_of(searcher, tenant.access, "lighthouse", before=5, after=5)
    assert [each.text for each in (*found.before, *found.after)] == ["New."]


async def test_no_context_of_another_tenant(
    searcher: Searcher, database: Database, tenant: TenantFixture, other_tenant: TenantFixture
) -> None:
    for each in (tenant, other_tenant):
        await publish_file(database, each.access, each.collection_id, CHAPTERS)
    found = await search(
        searcher, tenant.access, "lighthouse keeper", context={"before": 5, "section": True}
    )
    assert len(found.data) == 1
    assert found.data[0].duplicates == 0


# ── why ─────────────────────────────────────────────────────────────────────────────────────────


async def test_what_each_word_gave_adds_up(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        ["Harbour dues and harbour cranes.", "The harbour at night.", "A crane in the marsh."],
    )
    found = await search(searcher, tenant.access, "harbours harbours crane", explain=True)
    for hit in found.data:
        assert hit.explanation is not None
        assert hit.scores.lexical == pytest.approx(
            sum(term.score for term in hit.explanation.terms), rel=1e-5
        )
    assert found.data[0].explanation is not None
    first, second = found.data[0].explanation.terms
    assert (first.term, first.language, first.occurrences) == ("harbour", "english", 2)
    assert first.weight == pytest.approx(2 * second.weight)
    assert found.explanation is not None
    assert (found.explanation.alpha, found.explanation.query_type) == (0.0, None)
    plain = await search(searcher, tenant.access, "harbours harbours crane")
    assert plain.explanation is None


async def test_the_type_of_the_question_is_told(
    database: Database, tenant: TenantFixture, texts: SealedTexts, embedder: Embedder
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, [NOTICE], embedder=embedder)
    searcher = Searcher(database, embedder, texts)
    for query, type_ in (("book of leases", "question"), ('"book of leases"', "quote")):
        found = await search(searcher, tenant.access, query, mode="hybrid", explain=True)
        assert found.explanation is not None
        assert found.explanation.query_type == type_
        assert found.explanation.alpha == ALPHAS[QueryType(type_)]
        hit = found.data[0]
        assert hit.explanation is not None
        assert hit.score == pytest.approx(hit.explanation.fused)


async def test_meaning_orders_what_no_word_finds(
    database: Database, tenant: TenantFixture, texts: SealedTexts, embedder: Embedder
) -> None:
    passages = [f"{NOTICE} {word}" for word in ("Кран", "Ada", "crane", "harbour", "берег")]
    await publish_file(database, tenant.access, tenant.collection_id, passages, embedder=embedder)
    searcher = Searcher(database, embedder, texts)
    query = "Кто придал поселенцам общую идентичность?"
    found = await search(searcher, tenant.access, query, mode="hybrid", explain=True)
    nearest = await search(searcher, tenant.access, query, mode="vector")
    assert [hit.chunk_id for hit in found.data] == [hit.chunk_id for hit in nearest.data]
    assert len(found.data) == len(passages)
    assert found.data[0].score == 1.0
    assert found.explanation is not None
    assert found.explanation.alpha == 1.0


async def test_everything_at_once_and_nothing_found(
    searcher: Searcher, tenant: TenantFixture
) -> None:
    found = await search(
        searcher,
        tenant.access,
        "anything",
        rerank=True,
        explain=True,
        max_per_file=1,
        context={"before": 5, "after": 5, "section": True},
    )
    assert found.data == ()

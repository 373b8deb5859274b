"""Searches on a real PostgreSQL, with the real embedder."""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from uuid import UUID

import numpy as np
import pytest
from pydantic import JsonValue, ValidationError
from sqlalchemy import text

from db.models import AccessGrant
from db.queries.search import FileFilter, lexemes
from db.session import Access, Database
from muniment.embedding import MODEL_VERSION, Embedder
from muniment.errors import InvalidRequest
from muniment.objects import SealedTexts
from retrieval.lexical import search_words
from retrieval.request import Fusion, FusionMethod, SearchMode, SearchRequest
from retrieval.reranking import NO_RERANKER
from retrieval.response import SearchResponse
from retrieval.search import Searcher
from retrieval.vector import Vector
from tests.conftest import TenantFixture, make_tenant
from tests.retrieval.published import (
    Passage,
    private_collection,
    publish_file,
    publish_version,
    set_state,
)

LETTERS = (
    "The archive keeps every letter of the harbour master in oak boxes.",
    "Lighthouses were built along the northern coast after the storm of 1854.",
    "A loan of forty thousand guilders paid for the new harbour and its two cranes.",
    "Sheep were counted each spring; the tally sticks are kept in the cellar.",
)


@pytest.fixture
def searcher(database: Database, embedder: Embedder, texts: SealedTexts) -> Searcher:
    return Searcher(database, embedder, texts)


def ids(response: SearchResponse) -> list[UUID]:
    return [hit.chunk_id for hit in response.data]


async def search(
    searcher: Searcher, access: Access, query: str, **options: object
) -> SearchResponse:
    return await searcher.search(access, SearchRequest.model_validate({"query": query, **options}))


ALL_MODES = pytest.mark.parametrize("mode", list(SearchMode))


@ALL_MODES
async def test_every_mode_finds_the_passage_with_its_place(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    mode: SearchMode,
) -> None:
    box: JsonValue = {"page": 3, "bbox": [10.0, 20.0, 200.0, 32.0]}
    passages: list[Passage | str] = [
        *LETTERS[:2],
        Passage(LETTERS[2], pages=(3,), boxes=(box,)),
        LETTERS[3],
    ]
    published = await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        passages,
        embedder=embedder,
        name="harbour.pdf",
    )
    found = await search(searcher, tenant.access, "Who lent guilders for the cranes?", mode=mode)
    hit = found.data[0]
    assert hit.chunk_id == published.chunk_ids[2]
    assert (hit.file_id, hit.version, hit.name) == (published.file_id, 1, "harbour.pdf")
    assert hit.pages == (3,)
    assert [each.model_dump(mode="json") for each in hit.boxes] == [box]
    assert found.mode_used is mode
    assert not found.degraded
    assert not found.truncated
    assert found.timings_ms["total"] > 0
    assert (hit.scores.lexical is None) == (mode is SearchMode.VECTOR)
    assert (hit.scores.vector is None) == (mode is SearchMode.LEXICAL)
    assert hit.scores.rerank is None


async def test_meaning_finds_what_shares_no_word(
    searcher: Searcher, database: Database, tenant: TenantFixture, embedder: Embedder
) -> None:
    published = await publish_file(
        database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder
    )
    found = await search(searcher, tenant.access, "livestock census")
    assert ids(found)[0] == published.chunk_ids[3]
    assert found.data[0].scores.lexical is None


async def test_highlights_are_code_points_of_the_matched_words(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    passage = "Ἀθῆναι 🏛️: <b>harbours</b> & cranes; the crane’s re-built harbour_side. Crane!"
    await publish_file(database, tenant.access, tenant.collection_id, [passage])
    hit = (await search(searcher, tenant.access, "harbour crane", mode="lexical")).data[0]
    words = [hit.text[start:end].lower() for start, end in hit.highlights]
    assert hit.text == passage
    assert words == ["harbours", "cranes", "crane", "harbour", "crane"]


# ── who sees what ───────────────────────────────────────────────────────────────────────────────


@ALL_MODES
async def test_a_file_is_out_of_search_in_every_state_but_ready(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    mode: SearchMode,
) -> None:
    published = await publish_file(
        database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder
    )
    for state in ("trashed", "restricted", "erasing", "quarantined", "processing"):
        await set_state(database, tenant.access, published.file_id, state)
        assert (await search(searcher, tenant.access, "harbour", mode=mode)).data == ()
    await set_state(database, tenant.access, published.file_id, "ready")
    assert (await search(searcher, tenant.access, "harbour", mode=mode)).data


@ALL_MODES
async def test_only_the_current_version_is_found(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    mode: SearchMode,
) -> None:
    old = await publish_file(
        database, tenant.access, tenant.collection_id, ["The crane cost 900 guilders."],
        embedder=embedder,
    )  # fmt: skip
    new = await publish_version(
        database, tenant.access, old.file_id, 2, ["The crane cost 950 guilders."], embedder=embedder
    )
    found = await search(searcher, tenant.access, "crane cost guilders", mode=mode)
    assert ids(found) == list(new.chunk_ids)
    assert found.data[0].version == 2


@ALL_MODES
async def test_another_tenant_finds_nothing(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    embedder: Embedder,
    mode: SearchMode,
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder)
    await publish_file(
        database,
        other_tenant.access,
        other_tenant.collection_id,
        ["Nothing of it"],
        embedder=embedder,
    )
    found = await search(searcher, other_tenant.access, "harbour", mode=mode)
    assert all(hit.text == "Nothing of it" for hit in found.data)


@ALL_MODES
async def test_a_private_file_is_found_by_those_who_were_granted_it_only(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
    embedder: Embedder,
    mode: SearchMode,
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    collection_id = await private_collection(database, tenant.access)
    secret = await publish_file(
        database,
        tenant.access,
        collection_id,
        LETTERS,
        embedder=embedder,
        owner_id=tenant.principal_id,
    )
    assert ids(await search(searcher, tenant.access, "harbour", mode=mode))
    assert ids(await search(searcher, clerk.access, "harbour", mode=mode)) == []
    async with database.transaction(tenant.system) as session:
        session.add(
            AccessGrant(
                tenant_id=tenant.tenant_id,
                principal_id=clerk.principal_id,
                file_id=secret.file_id,
                level="read",
            )
        )
    assert ids(await search(searcher, clerk.access, "harbour", mode=mode))


async def test_scores_do_not_tell_of_files_out_of_sight(
    searcher: Searcher, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk", is_admin=False)
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS)
    before = await search(searcher, clerk.access, "harbour cranes", mode="lexical")
    collection_id = await private_collection(database, tenant.access)
    await publish_file(
        database,
        tenant.access,
        collection_id,
        ["cranes of the harbour"] * 5,
        owner_id=tenant.principal_id,
    )
    after = await search(searcher, clerk.access, "harbour cranes", mode="lexical")
    assert [hit.score for hit in after.data] == [hit.score for hit in before.data]


# ── words ───────────────────────────────────────────────────────────────────────────────────────


async def test_bm25_is_that_of_its_formula(database: Database, tenant: TenantFixture) -> None:
    words = ["oak", "elm", "ash", "yew", "fir", "bay"]
    random = np.random.default_rng(7)
    texts = [" ".join(random.choice(words, size=random.integers(3, 40))) for _ in range(40)]
    published = await publish_file(database, tenant.access, tenant.collection_id, texts)
    query = "oak yew yew"
    found = await search_words(database, tenant.access, query, FileFilter(), max_chunks=100)
    expected = bm25_by_hand(texts, query)
    assert found.scores == pytest.approx(
        {published.chunk_ids[index]: score for index, score in expected.items()}
    )
    scores = list(found.scores.values())
    assert scores == sorted(scores, reverse=True)


def bm25_by_hand(texts: Sequence[str], query: str) -> dict[int, float]:
    counts = [Counter(each.split()) for each in texts]
    mean = sum(map(Counter.total, counts)) / len(texts)
    scores = {}
    for index, count in enumerate(counts):
        score = 0.0
        for term in query.split():
            frequency = sum(term in other for other in counts)
            idf = math.log(1 + (len(texts) - frequency + 0.5) / (frequency + 0.5))
            length = 1.2 * (1 - 0.75 + 0.75 * count.total() / mean)
            score += idf * count[term] / (count[term] + length)
        if score > 0:
            scores[index] = score
    return scores


@pytest.mark.parametrize(
    "query",
    [
        "harbour & | ! ( ) <-> :* ' \" \\ \\\\ ';--",
        "harbour:*A & !(",
        "harbour'",
        "'harbour\\",
        "harbour\0 \U0001f3db\ufdd0\ufdd1 %_",
        "harbour " + "'\\" * 900,
        "harbour " + "x" * 5000,
        "harbour " + " ".join(f"word{number}" for number in range(700)),
        "harbour <script> http://a.b/c?d=e&f file:///etc/passwd a@b.c 12.5 -3e5",
    ],
    ids=["operators", "prefix", "quote", "backslash", "NUL", "escapes", "long", "700", "tokens"],
)
async def test_any_text_is_a_query(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    query: str,
) -> None:
    published = await publish_file(
        database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder
    )
    words = await search(searcher, tenant.access, query, mode="lexical")
    assert set(ids(words)) == {published.chunk_ids[0], published.chunk_ids[2]}
    both = await search(searcher, tenant.access, query, mode="hybrid")
    assert not both.degraded


async def test_a_question_of_hundreds_of_words_finds_by_the_rarest(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    common = " ".join(f"common{number}" for number in range(80))
    absent = " ".join(f"absent{number}" for number in range(80))
    published = await publish_file(
        database, tenant.access, tenant.collection_id, [f"{common} lighthouses", common, common]
    )
    long = await search(searcher, tenant.access, f"{absent} {common} lighthouse", mode="lexical")
    short = await search(searcher, tenant.access, f"{absent} lighthouse", mode="lexical")
    assert ids(long)[0] == published.chunk_ids[0]
    assert long.truncated
    assert ids(short) == [published.chunk_ids[0]]
    assert not short.truncated


@pytest.mark.parametrize("query", ["", "   ", "\0", "x" * 10_001])
def test_an_empty_or_endless_query_is_refused(query: str) -> None:
    with pytest.raises(ValidationError):
        SearchRequest(query=query)


async def test_words_without_meaning_find_nothing(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS)
    assert (await search(searcher, tenant.access, "the of and", mode="lexical")).data == ()


async def test_an_empty_tenant_answers_with_nothing(
    searcher: Searcher, tenant: TenantFixture
) -> None:
    found = await search(searcher, tenant.access, "harbour")
    assert (found.data, found.degraded, found.truncated) == ((), False, False)


# ── what does not take part ─────────────────────────────────────────────────────────────────────


class BrokenEmbedder:
    version = MODEL_VERSION
    dimensions = 384

    def __init__(self, model_id: str) -> None:
        self.model_id = model_id

    def for_model(self, model_id: str, version: str) -> "BrokenEmbedder":
        return self

    def embed_query(self, text: str) -> Vector:
        raise RuntimeError("no such model")

    def embed(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Vector:
        raise RuntimeError("no such model")


@pytest.mark.parametrize("mode", [SearchMode.HYBRID, SearchMode.VECTOR])
async def test_without_the_embedder_words_answer_and_it_says_so(
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    texts: SealedTexts,
    mode: SearchMode,
) -> None:
    published = await publish_file(
        database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder
    )
    for broken in (None, BrokenEmbedder(embedder.model_id)):
        found = await search(Searcher(database, broken, texts), tenant.access, "sheep", mode=mode)
        assert ids(found) == [published.chunk_ids[3]]
        assert found.mode_used is SearchMode.LEXICAL
        assert found.degraded
        assert len(found.reasons) == 1


@pytest.mark.parametrize("column", ["model_id", "model_version"])
async def test_an_index_of_another_model_is_not_compared_with(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    column: str,
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder)
    async with database.transaction(tenant.system) as session:
        await session.execute(text(f"UPDATE index_version SET {column} = 'another'"))  # noqa: S608
    found = await search(searcher, tenant.access, "harbour")
    assert (found.mode_used, found.degraded) == (SearchMode.LEXICAL, True)
    assert "index-versions create" in found.reasons[0]
    assert found.data


async def test_rerank_is_said_to_be_absent(
    searcher: Searcher, database: Database, tenant: TenantFixture, embedder: Embedder
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder)
    found = await search(searcher, tenant.access, "harbour", rerank=True)
    assert (found.mode_used, found.degraded, found.reasons) == (
        SearchMode.HYBRID,
        True,
        (NO_RERANKER,),
    )
    assert found.data[0].scores.rerank is None


# ── fusion and filters ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", list(FusionMethod))
async def test_explain_gives_the_parts_of_the_score(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    method: FusionMethod,
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder)
    fusion = Fusion(method=method, alpha=0.25)
    found = await search(searcher, tenant.access, "harbour cranes", fusion=fusion, explain=True)
    for hit in found.data:
        assert hit.explanation is not None
        assert hit.score == pytest.approx(
            hit.explanation.lexical_part + hit.explanation.vector_part
        )
    assert found.data[0].explanation is not None
    assert found.data[0].explanation.lexical_rank == 1
    plain = await search(searcher, tenant.access, "harbour cranes", fusion=fusion)
    assert ids(plain) == ids(found)
    assert all(hit.explanation is None for hit in plain.data)


@pytest.mark.parametrize(
    ("mode", "alpha"), [("lexical", 1.0), ("vector", 0.0)], ids=["lexical", "vector"]
)
async def test_weights_do_not_matter_where_one_list_takes_part(
    searcher: Searcher,
    database: Database,
    tenant: TenantFixture,
    embedder: Embedder,
    mode: str,
    alpha: float,
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, LETTERS, embedder=embedder)
    found = await search(
        searcher, tenant.access, "harbour cranes", mode=mode, fusion={"alpha": alpha}
    )
    scores = [hit.score for hit in found.data]
    assert scores == sorted(scores, reverse=True)
    assert found.data[0].text == LETTERS[2]


async def test_top_k_bounds_the_hits(
    searcher: Searcher, database: Database, tenant: TenantFixture
) -> None:
    texts = [f"harbour {'again ' * number}" for number in range(30)]
    await publish_file(database, tenant.access, tenant.collection_id, texts)
    assert len((await search(searcher, tenant.access, "harbour", top_k=7)).data) == 7
    with pytest.raises(ValidationError):
        SearchRequest(query="harbour", top_k=101)


async def test_searches_at_once_do_not_starve_each_other(
    application_dsn: str, tenant: TenantFixture, embedder: Embedder, texts: SealedTexts
) -> None:
    small = Database(application_dsn, pool_size=2)
    try:
        await publish_file(small, tenant.access, tenant.collection_id, LETTERS, embedder=embedder)
        searcher = Searcher(small, embedder, texts)
        found = await asyncio.gather(
            *(search(searcher, tenant.access, "harbour cranes") for _ in range(12))
        )
    finally:
        await small.close()
    assert len({tuple(ids(each)) for each in found}) == 1


async def test_lexemes_are_those_of_the_postings(database: Database, tenant: TenantFixture) -> None:
    async with database.transaction(tenant.access) as session:
        found = await lexemes(session, ["Cranes lifted the crane", "", "the"])
    assert found == [{"crane": 2, "lift": 1}, {}, {}]


async def test_a_wrong_filter_is_an_invalid_request(
    searcher: Searcher, tenant: TenantFixture
) -> None:
    with pytest.raises(InvalidRequest):
        await search(searcher, tenant.access, "harbour", filter={"created": "yesterday"})

"""Answers from the documents' own sentences, and their proof."""

from collections.abc import Sequence
from uuid import UUID

import pytest
from pydantic import JsonValue

from db.models import new_id
from db.session import Database
from muniment.contracts.documents import Line
from muniment.embedding import Embedder
from muniment.errors import Unprocessable
from muniment.objects import SealedTexts
from retrieval.answer import Answerer
from retrieval.answer_extractive import NOTHING_FOUND, UNWEIGHED, sentences
from retrieval.request import QuestionRequest, SearchMode
from retrieval.response import CitationEvent, DoneEvent, HitScores, SearchHit, TokenEvent
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.published import Passage, Published, publish_file, publish_version, set_state

QUESTION = "Who paid for the harbour cranes?"
FIRST_PAGE = "The storm of 1854 destroyed the quay. Repairs took two years."
SECOND_PAGE = "The harbour\ncranes were paid for by the widow Van der Meer. They still stand."
BOXES: tuple[JsonValue, ...] = (
    {"page": 1, "bbox": [50.0, 700.0, 300.0, 712.0]},
    {"page": 2, "bbox": [50.0, 80.0, 300.0, 120.0]},
)
PASSAGES = (
    Passage(f"{FIRST_PAGE}\n{SECOND_PAGE}", pages=(1, 2), boxes=BOXES),
    Passage("Sheep were counted each spring in the meadow of the abbey.", pages=(3,)),
)
PAGES = {1: FIRST_PAGE, 2: SECOND_PAGE, 3: PASSAGES[1].text}


async def page_text(file_id: UUID, version: int, page: int) -> str | None:
    return PAGES.get(page)


async def page_lines(file_id: UUID, version: int, page: int) -> Sequence[Line]:
    return [
        Line(text="The har-", bbox=(50.0, 80.0, 300.0, 92.0)),
        Line(text="bour cranes were paid for", bbox=(50.0, 94.0, 300.0, 106.0)),
        Line(text="by the widow Van der Meer. They", bbox=(50.0, 108.0, 300.0, 120.0)),
        Line(text="still stand.", bbox=(50.0, 122.0, 300.0, 134.0)),
    ]


@pytest.fixture
def answerer(database: Database, embedder: Embedder, texts: SealedTexts) -> Answerer:
    return Answerer(database, Searcher(database, embedder, texts))


@pytest.fixture
async def published(database: Database, tenant: TenantFixture, embedder: Embedder) -> Published:
    return await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        PASSAGES,
        embedder=embedder,
        name="harbour.pdf",
    )


async def test_an_answer_quotes_the_sentence_on_its_page(
    answerer: Answerer, tenant: TenantFixture, published: Published
) -> None:
    answer = await answerer.answer(
        tenant.access, QuestionRequest(query=QUESTION), page_text=page_text
    )
    assert answer.answer.startswith(
        "The harbour cranes were paid for by the widow Van der Meer. [1]"
    )
    citation = answer.citations[0]
    assert citation.quote == "The harbour\ncranes were paid for by the widow Van der Meer."
    assert citation.quote in PASSAGES[0].text
    assert (citation.n, citation.page, citation.verified) == (1, 2, True)
    assert (citation.file_id, citation.chunk_id) == (published.file_id, published.chunk_ids[0])
    assert [box.model_dump(mode="json") for box in citation.boxes] == [BOXES[1]]
    assert answer.sources[0].chunk_id == citation.chunk_id
    assert answer.meta.model == "extractive"
    assert answer.meta.mode is SearchMode.HYBRID
    assert not answer.meta.cached
    assert answer.meta.timings_ms["total"] > 0


async def test_boxes_narrow_to_the_lines_that_hold_the_quote(
    answerer: Answerer, tenant: TenantFixture, published: Published
) -> None:
    answer = await answerer.answer(
        tenant.access, QuestionRequest(query=QUESTION), page_text=page_text, page_lines=page_lines
    )
    lines = await page_lines(published.file_id, 1, 2)
    assert [box.bbox for box in answer.citations[0].boxes] == [line.bbox for line in lines[:3]]


async def test_a_quote_that_is_on_no_page_is_not_verified(
    answerer: Answerer, tenant: TenantFixture, published: Published
) -> None:
    async def other_text(file_id: UUID, version: int, page: int) -> str | None:
        return "The harbour cranes were paid for by the town." if page == 2 else None

    answer = await answerer.answer(
        tenant.access, QuestionRequest(query=QUESTION), page_text=other_text
    )
    assert (answer.citations[0].page, answer.citations[0].verified) == (1, False)


async def test_without_a_reader_a_passage_over_two_pages_proves_no_page(
    answerer: Answerer, tenant: TenantFixture, published: Published
) -> None:
    two_pages = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    one_page = await answerer.answer(
        tenant.access, QuestionRequest(query="How often were the sheep counted?")
    )
    assert not two_pages.citations[0].verified
    assert (one_page.citations[0].page, one_page.citations[0].verified) == (3, True)


async def test_a_sentence_over_a_page_break_is_cited_where_it_begins(
    answerer: Answerer, tenant: TenantFixture, database: Database, embedder: Embedder
) -> None:
    sentence = "The abbey of Saint Bavo owned the mill and leased it to the brothers Koster."
    pages = {
        4: "Header. The abbey of Saint Bavo owned the mill and",
        5: "leased it to the bro-\nthers Koster.",
    }
    await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        [Passage(sentence, pages=(4, 5))],
        embedder=embedder,
    )

    async def broken_text(file_id: UUID, version: int, page: int) -> str | None:
        return pages.get(page)

    answer = await answerer.answer(
        tenant.access, QuestionRequest(query="Who owned the mill?"), page_text=broken_text
    )
    assert (answer.citations[0].page, answer.citations[0].verified) == (4, True)


@pytest.mark.parametrize(
    "question",
    [
        "What is the boiling point of mercury?",
        "Who won the football cup in 2014?",
        "the of and",
        "?!",
    ],
)
async def test_without_support_it_says_so_and_cites_nothing(
    answerer: Answerer, tenant: TenantFixture, published: Published, question: str
) -> None:
    answer = await answerer.answer(tenant.access, QuestionRequest(query=question))
    assert (answer.answer, answer.citations, answer.sources) == (NOTHING_FOUND, (), ())


async def test_a_trashed_file_is_cited_no_longer(
    answerer: Answerer, tenant: TenantFixture, database: Database, published: Published
) -> None:
    await set_state(database, tenant.access, published.file_id, "trashed")
    answer = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    assert answer.answer == NOTHING_FOUND
    await set_state(database, tenant.access, published.file_id, "ready")
    assert (await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))).citations


async def test_a_new_version_answers_in_place_of_the_old(
    answerer: Answerer,
    tenant: TenantFixture,
    database: Database,
    published: Published,
    embedder: Embedder,
) -> None:
    new = await publish_version(
        database,
        tenant.access,
        published.file_id,
        2,
        ["The harbour cranes were paid for by the town council."],
        embedder=embedder,
    )
    answer = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    assert [each.chunk_id for each in answer.citations] == list(new.chunk_ids)
    assert answer.citations[0].version == 2


async def test_another_tenant_gets_no_answer(
    answerer: Answerer, other_tenant: TenantFixture, published: Published
) -> None:
    answer = await answerer.answer(other_tenant.access, QuestionRequest(query=QUESTION))
    assert answer.answer == NOTHING_FOUND


async def test_the_same_sentence_twice_is_cited_once(
    answerer: Answerer, tenant: TenantFixture, database: Database, embedder: Embedder
) -> None:
    for name in ("copy one", "copy two"):
        await publish_file(
            database,
            tenant.access,
            tenant.collection_id,
            ["The treaty of Breda was signed in July 1667."],
            embedder=embedder,
            name=name,
        )
    answer = await answerer.answer(
        tenant.access, QuestionRequest(query="When was the treaty of Breda signed?")
    )
    assert len(answer.citations) == 1


async def test_sentences_that_are_equally_good_come_in_the_order_of_their_hits(
    tenant: TenantFixture, database: Database
) -> None:
    sentence = "The treaty of Breda was signed in July."
    hits = [
        SearchHit(
            chunk_id=new_id(),
            file_id=new_id(),
            version=1,
            name=str(place),
            text=sentence,
            headings=(),
            highlights=(),
            score=1.0,
            pages=(1,),
            boxes=(),
            scores=HitScores(lexical=None, vector=1.0),
            sealed=sealed,
        )
        for place, sealed in enumerate((True, False, True))
    ]
    async with database.transaction(tenant.access) as session:
        found = await sentences(session, hits)
    assert [each.hit.name for each in found] == ["0", "1", "2"]
    assert len({each.lexemes for each in found}) == 1


async def test_words_alone_answer_without_an_embedder(
    tenant: TenantFixture, database: Database, texts: SealedTexts, published: Published
) -> None:
    answerer = Answerer(database, Searcher(database, None, texts))
    answer = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    assert "Van der Meer" in answer.answer
    assert answer.meta.degraded
    assert answer.meta.mode is SearchMode.LEXICAL
    unrelated = await answerer.answer(
        tenant.access, QuestionRequest(query="Who paid for the railway bridge near Utrecht?")
    )
    assert unrelated.answer == NOTHING_FOUND


async def test_while_too_many_search_by_words_meaning_answers(
    tenant: TenantFixture,
    database: Database,
    embedder: Embedder,
    texts: SealedTexts,
    published: Published,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("retrieval.search.AT_ONCE", 0)
    monkeypatch.setattr("retrieval.lexical.LONGEST_WAIT_SECONDS", 0.1)
    answerer = Answerer(database, Searcher(database, embedder, texts))
    answer = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    assert "Van der Meer" in answer.answer
    assert (answer.meta.mode, answer.meta.degraded) == (SearchMode.VECTOR, True)
    assert UNWEIGHED in answer.meta.reasons


async def test_an_answer_says_that_not_everything_was_considered(
    answerer: Answerer,
    tenant: TenantFixture,
    published: Published,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    monkeypatch.setattr("db.queries.lexical.MAX_TERMS", 1)
    part = await answerer.answer(tenant.access, QuestionRequest(query=QUESTION))
    assert (whole.meta.truncated, whole.meta.degraded) == (False, False)
    assert (part.meta.truncated, part.meta.degraded) == (True, False)


async def test_the_stream_joins_to_the_answer(
    answerer: Answerer, tenant: TenantFixture, published: Published
) -> None:
    events = [
        event async for event in answerer.stream(tenant.access, QuestionRequest(query=QUESTION))
    ]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    pieces = [event.text for event in events if isinstance(event, TokenEvent)]
    assert "".join(pieces) == done.answer.answer
    cited = [event.citation for event in events if isinstance(event, CitationEvent)]
    assert tuple(cited) == done.answer.citations
    assert len(events) == 2 * len(cited) + 1


async def test_an_empty_stream_says_that_nothing_was_found(
    answerer: Answerer, tenant: TenantFixture
) -> None:
    events = [
        event async for event in answerer.stream(tenant.access, QuestionRequest(query=QUESTION))
    ]
    assert [event.event for event in events] == ["token", "done"]
    assert isinstance(events[0], TokenEvent)
    assert events[0].text == NOTHING_FOUND


async def test_a_language_model_is_refused_as_none_is_configured(
    answerer: Answerer, tenant: TenantFixture
) -> None:
    with pytest.raises(Unprocessable, match="No language model is configured"):
        await answerer.answer(
            tenant.access, QuestionRequest.model_validate({"query": "x", "generate": "llm"})
        )

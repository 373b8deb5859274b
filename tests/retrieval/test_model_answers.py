"""Answers in a model's words: their citations, what they cost, and what comes when a model fails."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from uuid import UUID

import pytest
from sqlalchemy import text

from db.queries import language_models
from db.session import Database
from muniment.contracts.language_models import ModelUse
from muniment.embedding import Embedder
from muniment.errors import TokenBudgetExhausted, TooManyRequests
from muniment.objects import SealedTexts
from retrieval.answer import ALL_FAILED, BROKE_OFF, UNCHECKED, UNCITED
from retrieval.answer_extractive import NOTHING_FOUND, Pages
from retrieval.answer_permit import (
    ALL_PAUSED,
    NO_BUDGET,
    NO_MODEL,
    NOT_ALLOWED,
    NOTHING_TO_SHOW,
    TOO_BUSY,
)
from retrieval.request import Generate, QuestionRequest
from retrieval.response import Answer, CitationEvent, DoneEvent, TokenEvent
from tests.conftest import TenantFixture
from tests.model_process import ModelServer
from tests.retrieval.model_answers import (
    ASKED,
    PAID,
    QUESTION,
    SECRET,
    Answering,
    answerer_of,
    model,
    page_text,
    permits_of,
    standing,
)
from tests.retrieval.published import Published, publish_file, set_state


@pytest.fixture
def ask(
    answering: Answering, server: ModelServer, tenant: TenantFixture
) -> Callable[..., Awaitable[Answer]]:
    async def asked(*behaviours: str, request: QuestionRequest = ASKED) -> Answer:
        answerer, _ = answering(*(model(server, each) for each in behaviours))
        return await answerer.answer(tenant.access, request, page_text=page_text)

    return asked


async def test_an_answer_cites_the_passages_it_was_shown(
    ask: Callable[..., Awaitable[Answer]], published: Published, server: ModelServer
) -> None:
    answer = await ask("faithful")
    assert answer.answer.startswith(f"{PAID} [1].")
    first = answer.citations[0]
    assert (first.n, first.page, first.verified) == (1, 1, True)
    assert first.quote == f"{PAID}."
    assert first.chunk_id == published.chunk_ids[0] == answer.sources[0].chunk_id
    assert [each.n for each in answer.citations] == [1, 2]
    meta = answer.meta
    assert (meta.model, meta.provider, meta.prompt) == ("faithful", "faithful", "answer-1")
    assert (meta.tokens.prompt, meta.tokens.completion) == (1000, 50)
    assert (meta.degraded, meta.unknown_marks) == (False, 0)
    request = server.seen[-1]
    assert request["authorization"] == f"Bearer {SECRET}"
    assert request["body"]["stream"] is True
    assert "tools" not in request["body"]
    assert "h.pdf" not in str(request["body"])


async def test_a_stream_joins_to_the_answer(
    answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    answerer, _ = answering(model(server, "faithful@20,1"))
    events = [event async for event in answerer.stream(tenant.access, ASKED, page_text=page_text)]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    said = "".join(event.text for event in events if isinstance(event, TokenEvent))
    assert said == done.answer.answer
    cited = [event.citation for event in events if isinstance(event, CitationEvent)]
    assert tuple(cited) == done.answer.citations
    assert len([event for event in events if isinstance(event, TokenEvent)]) > 10


@pytest.mark.parametrize(
    "failing",
    ["failing", "plain", "redirecting", "garbage", "odd", "empty", "complaining", "cut", "nowhere"],
)
async def test_the_next_model_answers_for_one_that_fails(
    answering: Answering, server: ModelServer, tenant: TenantFixture, failing: str
) -> None:
    first = model(server, failing)
    if failing == "nowhere":
        first = model(ModelServer("http://127.0.0.1:9", server.process), failing)
    answerer, _ = answering(first, model(server, "faithful"))
    answer = await answerer.answer(tenant.access, ASKED, page_text=page_text)
    assert answer.meta.provider == "faithful"
    assert not answer.meta.degraded


async def test_a_model_that_hangs_is_waited_for_so_long(
    answering: Answering, server: ModelServer, tenant: TenantFixture, database: Database
) -> None:
    hanging = model(server, "hanging", first_token_seconds=0.4)
    stopping = model(server, "stopping", first_token_seconds=0.4)
    answerer, _ = answering(hanging, stopping, model(server, "faithful"))
    answer = await answerer.answer(tenant.access, ASKED, page_text=page_text)
    assert answer.meta.provider == "faithful"
    # What the two read and wrote is paid for, by an estimate.
    spent = answer.meta.tokens.prompt + answer.meta.tokens.completion
    assert spent > 1050
    assert (await standing(database, tenant)).used == spent


async def test_words_that_break_off_in_a_stream_are_said_to(
    answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    stopping = model(server, "stopping", first_token_seconds=0.4)
    answerer, _ = answering(stopping, model(server, "faithful"))
    events = [event async for event in answerer.stream(tenant.access, ASKED)]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    assert done.answer.meta.provider == "stopping"
    assert BROKE_OFF in done.answer.meta.reasons


async def test_when_all_fail_the_documents_answer_themselves(
    ask: Callable[..., Awaitable[Answer]],
) -> None:
    for generate in (Generate.AUTO, Generate.LLM):
        request = QuestionRequest(query=QUESTION, generate=generate)
        answer = await ask("failing", "garbage", request=request)
        assert answer.answer.startswith(f"{PAID}. [1]")
        assert (answer.meta.model, answer.meta.provider) == ("extractive", None)
        assert answer.meta.degraded
        assert ALL_FAILED in answer.meta.reasons


async def test_without_a_model_it_is_said(ask: Callable[..., Awaitable[Answer]]) -> None:
    answer = await ask()
    assert answer.meta.reasons == (NO_MODEL,)
    wanted = QuestionRequest(query=QUESTION, generate=Generate.EXTRACTIVE)
    assert not (await ask(request=wanted)).meta.degraded


async def test_a_model_that_failed_often_is_left_alone(
    answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    failing = model(server, "failing")
    answerer, permits = answering(failing, model(server, "faithful"))
    before = len(server.seen)
    for _ in range(5):
        await answerer.answer(tenant.access, ASKED)
    asked = [each["body"]["model"] for each in server.seen[before:]]
    assert asked.count("failing") == 3
    assert permits.gateway.is_resting(failing)


async def test_nothing_found_asks_no_model(
    ask: Callable[..., Awaitable[Answer]], server: ModelServer
) -> None:
    before = len(server.seen)
    answer = await ask(
        "faithful", request=QuestionRequest(query="What is mercury's boiling point?")
    )
    assert (answer.answer, answer.citations, answer.sources) == (NOTHING_FOUND, (), ())
    assert len(server.seen) == before


async def test_a_model_may_refuse(ask: Callable[..., Awaitable[Answer]]) -> None:
    answer = await ask("refusing")
    assert (answer.answer, answer.citations, answer.sources) == (NOTHING_FOUND, (), ())
    assert answer.meta.provider == "refusing"


async def test_thoughts_are_not_shown(ask: Callable[..., Awaitable[Answer]]) -> None:
    answer = await ask("thinking")
    assert answer.answer.startswith(f"{PAID} [1].")
    assert "secret" not in answer.answer


async def test_a_model_of_whose_words_nothing_is_left_did_not_answer(
    ask: Callable[..., Awaitable[Answer]],
) -> None:
    answer = await ask("marked up")
    assert (answer.meta.model, answer.meta.provider) == ("extractive", None)
    assert ALL_FAILED in answer.meta.reasons
    assert answer.answer.strip().startswith(f"{PAID}. [1]")


async def test_what_is_cited_from_nothing_is_marked(ask: Callable[..., Awaitable[Answer]]) -> None:
    invented = await ask("inventing")
    assert [each.n for each in invented.citations] == [1, 1]
    assert not any(each.verified for each in invented.citations)
    uncited = await ask("uncited")
    assert uncited.citations == ()
    assert UNCITED in uncited.meta.reasons


async def test_marks_of_passages_that_were_not_shown_go(
    ask: Callable[..., Awaitable[Answer]],
) -> None:
    answer = await ask("foreign")
    assert answer.answer == f"{PAID} [1]."
    assert (answer.meta.unknown_marks, len(answer.citations)) == (2, 1)
    assert answer.citations[0].verified


async def test_a_passage_out_of_reach_meanwhile_is_not_quoted(
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
    published: Published,
) -> None:
    answerer, _ = answering(model(server, "faithful"))
    prepared = await answerer.prepare(tenant.access, ASKED, Pages(page_text))
    await set_state(database, tenant.access, published.file_id, "trashed")
    events = [event async for event in prepared.events()]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    assert done.answer.citations
    assert not any(each.verified or each.quote or each.name for each in done.answer.citations)
    assert not any(each.text or each.name for each in done.answer.sources)


async def test_words_go_on_while_nothing_can_be_checked(
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
    application_dsn: str,
    embedder: Embedder,
    texts: SealedTexts,
    published: Published,
) -> None:
    """With a database of one connection, which somebody else has by then."""
    narrow = Database(application_dsn, pool_size=1, pool_timeout_seconds=1.0)
    permits = permits_of(narrow, [model(server, "faithful@300")])
    answerer = answerer_of(narrow, embedder, texts, permits)
    prepared = await answerer.prepare(tenant.access, ASKED, Pages())
    async with narrow.transaction(tenant.access):
        events = [event async for event in prepared.events()]
    done = events[-1]
    assert isinstance(done, DoneEvent)
    assert done.answer.answer.startswith(f"{PAID} [1].")
    assert done.answer.meta.reasons == (UNCHECKED,)
    assert [each.verified for each in done.answer.citations] == [False, False]
    assert not any(each.text for each in done.answer.sources)
    # What it cost is counted as soon as there is a connection again.
    await permits.close()
    await narrow.close()
    spent = await standing(database, tenant)
    assert (spent.used, spent.reserved) == (1050, 0)


async def test_who_leaves_ends_the_models_work_and_pays_for_it(
    answering: Answering, server: ModelServer, tenant: TenantFixture, database: Database
) -> None:
    answerer, _ = answering(model(server, "faithful@10,300"))
    prepared = await answerer.prepare(tenant.access, ASKED, Pages())
    async with aclosing(prepared.events()) as events:
        await anext(events)
        assert (await standing(database, tenant)).reserved > 200
    left = await standing(database, tenant)
    assert left.reserved == 0
    assert left.used > 100
    for _ in range(50):
        if server.seen[-1]["outcome"] == "left":
            break
        await asyncio.sleep(0.1)
    assert server.seen[-1]["outcome"] == "left"


async def test_a_budget_that_is_used_up(
    answering: Answering, server: ModelServer, tenant: TenantFixture, database: Database
) -> None:
    answerer, _ = answering(model(server, "faithful"), monthly_tokens=1_500)
    assert (await answerer.answer(tenant.access, ASKED)).meta.provider == "faithful"
    degraded = await answerer.answer(tenant.access, ASKED)
    assert degraded.meta.reasons == (NO_BUDGET,)
    assert degraded.meta.model == "extractive"
    required = QuestionRequest(query=QUESTION, generate=Generate.LLM)
    with pytest.raises(TokenBudgetExhausted) as refused:
        await answerer.answer(tenant.access, required)
    assert refused.value.wait_seconds is not None
    assert 0 < refused.value.wait_seconds <= 31 * 24 * 3600
    assert (await standing(database, tenant)).used == 1050


async def test_what_nobody_settled_comes_back_when_it_expires(
    answering: Answering, server: ModelServer, tenant: TenantFixture, database: Database
) -> None:
    answerer, _ = answering(model(server, "faithful"), monthly_tokens=1_500)
    await answerer.prepare(tenant.access, ASKED, Pages())
    assert (await answerer.answer(tenant.access, ASKED)).meta.reasons == (NO_BUDGET,)
    async with database.transaction(tenant.access) as session:
        await session.execute(text("UPDATE token_reservation SET expires_at = now()"))
    assert (await answerer.answer(tenant.access, ASKED)).meta.provider == "faithful"
    assert (await standing(database, tenant)).reserved == 0


async def test_a_budget_holds_for_many_at_once(
    answering: Answering, server: ModelServer, tenant: TenantFixture, database: Database
) -> None:
    answerer, _ = answering(model(server, "faithful@200"), monthly_tokens=3_000)
    answers = await asyncio.gather(*(answerer.answer(tenant.access, ASKED) for _ in range(8)))
    by_model = [each for each in answers if each.meta.provider]
    assert 1 <= len(by_model) <= 3
    assert (await standing(database, tenant)).used == 1050 * len(by_model)


async def test_more_answers_at_once_than_a_process_makes(
    answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    answerer, _ = answering(model(server, "faithful@10,300"), max_concurrent=1)
    prepared = await answerer.prepare(tenant.access, ASKED, Pages())
    async with aclosing(prepared.events()) as events:
        await anext(events)
        assert (await answerer.answer(tenant.access, ASKED)).meta.reasons == (TOO_BUSY,)
        required = QuestionRequest(query=QUESTION, generate=Generate.LLM)
        with pytest.raises(TooManyRequests):
            await answerer.answer(tenant.access, required)


async def set_use(
    database: Database, tenant: TenantFixture, collection_id: UUID, use: ModelUse
) -> None:
    async with database.transaction(tenant.access) as session:
        await session.execute(
            text("UPDATE collection SET language_models = :use WHERE id = :id"),
            {"use": use, "id": collection_id},
        )


async def test_a_collection_keeps_its_texts_from_models(
    answering: Answering, server: ModelServer, tenant: TenantFixture, database: Database
) -> None:
    hosted = model(server, "faithful", name="hosted", is_local=False)
    answerer, _ = answering(hosted)
    both, _ = answering(hosted, model(server, "faithful", name="own"))
    assert (await answerer.answer(tenant.access, ASKED)).meta.provider == "hosted"
    await set_use(database, tenant, tenant.collection_id, ModelUse.LOCAL)
    before = len(server.seen)
    assert (await answerer.answer(tenant.access, ASKED)).meta.reasons == (NOT_ALLOWED,)
    assert len(server.seen) == before
    assert (await both.answer(tenant.access, ASKED)).meta.provider == "own"
    await set_use(database, tenant, tenant.collection_id, ModelUse.NONE)
    assert (await both.answer(tenant.access, ASKED)).meta.reasons == (NOT_ALLOWED,)


async def test_a_question_that_leaves_no_room_asks_no_model(
    ask: Callable[..., Awaitable[Answer]],
) -> None:
    answer = await ask("faithful", request=QuestionRequest(query="?" * 9_000 + QUESTION))
    assert answer.meta.reasons == (NOTHING_TO_SHOW,)


async def test_a_paused_model_is_not_asked(
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    other_tenant: TenantFixture,
    database: Database,
) -> None:
    first, second = (model(server, "faithful", name=name) for name in ("one", "two"))
    answerer, _ = answering(first, second)
    for name, provider in (("one", "two"), ("two", None)):
        async with database.transaction(tenant.access) as session:
            assert await language_models.pause(session, tenant.tenant_id, name, None)
        assert (await answerer.answer(tenant.access, ASKED)).meta.provider == provider
    assert (await answerer.answer(tenant.access, ASKED)).meta.reasons == (ALL_PAUSED,)
    async with database.transaction(other_tenant.access) as session:
        assert await language_models.pauses(session) == []
        assert not await language_models.resume(session, "one")
    async with database.transaction(tenant.access) as session:
        assert await language_models.resume(session, "one")
    assert (await answerer.answer(tenant.access, ASKED)).meta.provider == "one"


async def test_members_of_the_request_are_the_operators(
    answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    changed = model(server, "faithful", request={"max_tokens": None, "max_completion_tokens": 7})
    answerer, _ = answering(changed)
    await answerer.answer(tenant.access, ASKED)
    body = server.seen[-1]["body"]
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 7


async def test_what_is_told_to_a_model_is_in_the_audit_trail_without_its_words(
    ask: Callable[..., Awaitable[Answer]],
    tenant: TenantFixture,
    database: Database,
    published: Published,
) -> None:
    await ask("faithful")
    async with database.transaction(tenant.access) as session:
        row = (
            await session.execute(
                text("SELECT payload FROM audit_event WHERE action = 'query.model_asked'")
            )
        ).one()
    assert row.payload["models"] == ["faithful"]
    assert row.payload["files"] == [str(published.file_id)]
    assert "crane" not in str(row.payload)


async def test_an_answer_in_a_script_without_spaces_is_verified(
    answering: Answering, server: ModelServer, database: Database, tenant: TenantFixture
) -> None:
    told = "风暴摧毁了码头。港口的起重机由寡妇范德梅尔支付。"
    file = await publish_file(database, tenant.access, tenant.collection_id, [told])
    answerer, _ = answering(model(server, "chinese"))

    async def read_page(file_id: UUID, version: int, page: int) -> str | None:
        return told

    question = QuestionRequest(
        query="港口的起重机由谁支付？", filter={"file_id": str(file.file_id)}
    )
    answer = await answerer.answer(tenant.access, question, page_text=read_page)
    (citation,) = answer.citations
    assert citation.chunk_id == file.chunk_ids[0]
    assert citation.quote == "港口的起重机由寡妇范德梅尔支付。"
    assert citation.verified

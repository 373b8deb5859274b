"""Answers of language models are told again as theirs, and only those that are proven."""

from contextlib import aclosing

import pytest
from sqlalchemy import text

from db.queries import language_models
from db.session import Access, Database
from retrieval.answer import Answerer
from retrieval.answer_extractive import Pages
from retrieval.answer_permit import PAUSED_OR_NOT_ALLOWED
from retrieval.cache.answers import PreparedAnswer, RememberedAnswer, prepare_cached
from retrieval.cache.responses import ResponseCache
from retrieval.request import QuestionRequest
from retrieval.response import Answer, DoneEvent
from tests.conftest import TenantFixture
from tests.model_process import ModelServer
from tests.retrieval.caches import Caching, rows
from tests.retrieval.model_answers import ASKED, Answering, model, page_text


async def told(
    cache: ResponseCache, answerer: Answerer, access: Access, request: QuestionRequest = ASKED
) -> Answer:
    return await whole(
        cache, await prepare_cached(cache, answerer, access, request, Pages(page_text))
    )


async def whole(cache: ResponseCache, prepared: PreparedAnswer) -> Answer:
    """Once it is durable."""
    try:
        async with aclosing(prepared.events(is_whole=True)) as events:
            async for event in events:
                if isinstance(event, DoneEvent):
                    return event.answer
    finally:
        await prepared.close()
        await cache.close()
    raise AssertionError("the last event is the answer")


async def test_a_models_answer_is_told_again_and_costs_nothing(
    caching: Caching, answering: Answering, server: ModelServer, tenant: TenantFixture
) -> None:
    answerer, _ = answering(model(server, "faithful"))
    cache = caching("faithful")
    first = await told(cache, answerer, tenant.access)
    asked = len(server.seen)
    again = await told(cache, answerer, tenant.access)
    assert first.meta.tokens.prompt > 0
    assert (again.meta.cached, again.meta.tokens.prompt, len(server.seen)) == (True, 0, asked)
    assert (again.answer, again.citations) == (first.answer, first.citations)
    assert again.meta.provider == "faithful"


@pytest.mark.parametrize(
    "behaviours",
    [("failing", "faithful"), ("inventing",), ("foreign",), ("refusing",), ("uncited",), ("cut",)],
)
async def test_what_failed_or_is_not_proven_is_not_kept(
    caching: Caching,
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
    behaviours: tuple[str, ...],
) -> None:
    answerer, _ = answering(*(model(server, each) for each in behaviours))
    await told(caching(*behaviours), answerer, tenant.access)
    assert await rows(database, tenant) == []


async def test_a_model_that_is_paused_is_not_told_again_either(
    caching: Caching,
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
) -> None:
    answerer, _ = answering(model(server, "faithful"))
    cache = caching("faithful")
    await told(cache, answerer, tenant.access)
    async with database.transaction(tenant.access) as session:
        await language_models.pause(session, tenant.tenant_id, "faithful", tenant.principal_id)
    paused = await told(cache, answerer, tenant.access)
    assert (paused.meta.cached, paused.meta.provider) == (False, None)


@pytest.mark.parametrize("is_paused_first", [True, False])
async def test_what_a_model_says_that_was_paused_or_resumed_meanwhile_is_not_kept(
    caching: Caching,
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
    is_paused_first: bool,
) -> None:
    """Between the look-up and the leave to ask a model: it would be told again as another's."""
    first, second = (model(server, "faithful", name=name) for name in ("first", "second"))
    answerer, _ = answering(first, second)
    cache = caching("first", "second")

    async def pause(is_paused: bool) -> None:
        async with database.transaction(tenant.access) as session:
            if is_paused:
                await language_models.pause(session, tenant.tenant_id, "first", None)
            else:
                await language_models.resume(session, "first")

    await pause(is_paused_first)
    looked = await cache.find_answer(tenant.access, ASKED)
    assert looked.place is not None
    await pause(not is_paused_first)
    making = await answerer.prepare(tenant.access, ASKED, Pages(page_text))
    answer = await whole(
        cache, RememberedAnswer(cache, tenant.access, looked.place, making, milliseconds=0.0)
    )
    assert answer.meta.provider == ("first" if is_paused_first else "second")
    assert await rows(database, tenant) == []


async def test_what_no_model_may_read_is_not_kept_while_another_is_paused(
    caching: Caching,
    answering: Answering,
    server: ModelServer,
    tenant: TenantFixture,
    database: Database,
) -> None:
    hosted = model(server, "faithful", name="hosted", is_local=False)
    answerer, _ = answering(hosted, model(server, "faithful", name="own"))
    async with database.transaction(tenant.access) as session:
        await session.execute(text("UPDATE collection SET language_models = 'local'"))
        await language_models.pause(session, tenant.tenant_id, "own", None)
    answer = await told(caching("hosted", "own"), answerer, tenant.access)
    assert answer.meta.reasons == (PAUSED_OR_NOT_ALLOWED,)
    assert await rows(database, tenant) == []

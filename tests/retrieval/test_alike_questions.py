"""Another question is answered as an earlier one was only where the tenant wants it, and all that tells the
two apart is equal."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import text

from db.models import AlikeQuestionPolicy
from db.queries import alike_questions
from db.session import Access, Database
from muniment.embedding import Embedder
from muniment.sealing import KeyFile
from retrieval.answer import Answerer
from retrieval.cache.alike import nearest_of, vector_bytes
from retrieval.cache.marks import marks_of
from retrieval.cache.responses import CacheIdentity, ResponseCache
from retrieval.request import QuestionRequest
from retrieval.response import Answer
from tests.conftest import TenantFixture
from tests.model_process import ModelServer
from tests.retrieval.caches import LIMITS
from tests.retrieval.model_answers import ASKED, Answering, model
from tests.retrieval.published import Published, set_state
from tests.retrieval.test_cached_answers import told

ALIKE = QuestionRequest(query="Who financed the harbour cranes?")


@pytest.fixture
def answerer(answering: Answering, server: ModelServer) -> Answerer:
    made, _ = answering(model(server, "faithful"))
    return made


@pytest.fixture
def cache(database: Database, embedder: Embedder, tmp_path: Path) -> ResponseCache:
    keys = KeyFile(tmp_path / "keys.json")
    return ResponseCache(database, keys, LIMITS, CacheIdentity(("faithful",)), embedder)


async def allow(database: Database, tenant: TenantFixture, least_likeness: float | None) -> None:
    async with database.transaction(tenant.access) as session:
        policy = AlikeQuestionPolicy(tenant_id=tenant.tenant_id, least_likeness=least_likeness)
        await session.merge(policy)


async def first_and_then(
    cache: ResponseCache,
    answerer: Answerer,
    access: Access,
    first: QuestionRequest = ASKED,
    then: QuestionRequest = ALIKE,
) -> tuple[Answer, Answer]:
    return await told(cache, answerer, access, first), await told(cache, answerer, access, then)


async def test_a_question_that_is_alike_is_told_the_answer_of_the_earlier_one(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture,
    server: ModelServer,
) -> None:  # fmt: skip
    await allow(database, tenant, 0.85)
    first, again = await first_and_then(cache, answerer, tenant.access)
    assert (first.meta.cached, first.meta.cached_distance) == (False, None)
    assert again.meta.cached == "semantic"
    assert again.meta.cached_distance is not None
    assert 0 < again.meta.cached_distance <= 0.15
    assert (again.answer, again.citations) == (first.answer, first.citations)
    assert (len(server.seen), again.meta.tokens.prompt) == (1, 0)
    # The same question is found by its own key, and has no distance.
    same = await told(cache, answerer, tenant.access)
    assert (same.meta.cached, same.meta.cached_distance) == (True, None)


async def test_none_is_alike_unless_the_tenant_says_so(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture,
    other_tenant: TenantFixture,
) -> None:  # fmt: skip
    await allow(database, other_tenant, 0.8)
    _, again = await first_and_then(cache, answerer, tenant.access)
    assert again.meta.cached is False
    async with database.transaction(tenant.access) as session:
        vectors = await session.scalar(text("SELECT count(sealed_vector) FROM cached_response"))
    assert vectors == 0


@pytest.mark.parametrize(
    ("least_likeness", "then"),
    [
        (0.999, ALIKE),
        (0.8, QuestionRequest(query="Who did not pay for the harbour cranes?")),
        (0.8, QuestionRequest(query="Who paid for the 2 harbour cranes?")),
        (0.8, QuestionRequest(query="who paid for these harbour cranes?")),
        (0.8, QuestionRequest(query="Who financed the harbour cranes?", top_k=7)),
        (0.8, QuestionRequest(query="Who financed the harbour cranes?", collection="documents")),
    ],
)
async def test_what_is_farther_or_differs_in_what_tells_apart_is_answered_anew(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture,
    least_likeness: float, then: QuestionRequest,
) -> None:  # fmt: skip
    await allow(database, tenant, least_likeness)
    looked_up = await told(cache, answerer, tenant.access)
    assert looked_up.meta.cached is False
    assert (await cache.find_answer(tenant.access, then)).kept is None


async def test_nobody_else_is_told_it(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture,
    other_tenant: TenantFixture,
) -> None:  # fmt: skip
    await allow(database, tenant, 0.8)
    await allow(database, other_tenant, 0.8)
    await told(cache, answerer, tenant.access)
    for access in (other_tenant.access, tenant.system):
        assert (await cache.find_answer(access, ALIKE)).kept is None
    assert (await cache.find_answer(tenant.access, ALIKE)).kept is not None


async def test_a_change_of_what_is_found_makes_it_stale(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture,
    published: Published,
) -> None:  # fmt: skip
    await allow(database, tenant, 0.85)
    await told(cache, answerer, tenant.access)
    await set_state(database, tenant.access, published.file_id, "trashed")
    assert (await cache.find_answer(tenant.access, ALIKE)).kept is None


async def test_turned_off_forgets_the_vectors_and_keeps_the_answers(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture
) -> None:
    await allow(database, tenant, 0.85)
    await told(cache, answerer, tenant.access)
    async with database.transaction(tenant.access) as session:
        await alike_questions.forget_vectors(session)
    assert (await cache.find_answer(tenant.access, ALIKE)).kept is None
    assert (await cache.find_answer(tenant.access, ASKED)).kept is not None


async def test_a_vector_that_was_tampered_with_is_passed_over(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture
) -> None:
    await allow(database, tenant, 0.85)
    await told(cache, answerer, tenant.access)
    async with database.transaction(tenant.access) as session:
        await session.execute(text("UPDATE cached_response SET sealed_vector = '\\x00'"))
    looked = await cache.find_answer(tenant.access, ALIKE)
    assert looked.kept is None
    assert looked.place is not None


async def test_many_at_once_are_each_answered(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture
) -> None:
    await allow(database, tenant, 0.85)
    await told(cache, answerer, tenant.access)
    async with asyncio.TaskGroup() as tasks:
        looked = [tasks.create_task(cache.find_answer(tenant.access, ALIKE)) for _ in range(8)]
    assert all(each.result().kept is not None for each in looked)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who may enter the laboratory?", "Who may not enter the laboratory?"),
        ("Who may enter?", "Who mayn't enter?"),
        ("What was the revenue in 2019?", "What was the revenue in 2018?"),
        ("What was the revenue of Tesla?", "What was the revenue of Nissan?"),
        ("Tesla paid what?", "Nissan paid what?"),
        ("How far is it from London to Paris?", "How far is it from Paris to London?"),
        ('What does "final" mean?', 'What does "draft" mean?'),
        ("When does the lease begin?", "When does the lease end?"),
        ("Is it 5% of the price?", "Is it 5€ of the price?"),
        ("Who is the chair?", "Who is the vice-chair?"),
        ("Wer darf hinein?", "Wer darf nicht hinein?"),
        ("what did tesla earn?", "what did tesla earn?"),
        ("谁付了钱？", "谁付了钱？"),
        ("", ""),
    ],
)
def test_what_tells_questions_apart(one: str, other: str) -> None:
    first = marks_of(one)
    assert first is None or first != marks_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who paid for the harbour cranes?", "Who financed the harbour cranes?"),
        ("What was the revenue of Tesla in 2019?", "In 2019, what was the revenue of Tesla?"),
        ("What causes error E42?", "What is the cause of error E42?"),
        ("Please tell me: who isn't there?", "Who is not there?"),
    ],
)
def test_another_wording_has_the_same_marks(one: str, other: str) -> None:
    assert marks_of(one) == marks_of(other) is not None


def test_the_nearest_is_found_and_what_is_no_vector_passed_over(embedder: Embedder) -> None:
    asked, near, far = embedder.embed([ASKED.query, ALIKE.query, "How are sheep counted?"])
    kept = {b"far": vector_bytes(far), b"near": vector_bytes(near), b"odd": b"12", b"none": None}
    nearest = nearest_of(asked, kept)
    assert nearest is not None
    assert nearest.key == b"near"
    assert abs(nearest.likeness - float(asked @ near)) < 0.001
    assert nearest_of(asked, {b"odd": b"1", b"none": None}) is None
    itself = nearest_of(asked, {b"same": vector_bytes(asked)})
    assert itself is not None
    assert itself.distance == pytest.approx(0, abs=0.001)

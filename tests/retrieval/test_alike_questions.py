"""Another question is answered as an earlier one was only where the tenant wants it, and all that tells the
two apart is equal."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import text

from db.models import AlikeQuestionPolicy
from db.queries import alike_questions
from db.session import Access, Database
from muniment.embedding import Embedder
from muniment.sealing import KeyFile
from retrieval.answer import Answerer
from retrieval.answer_extractive import Pages
from retrieval.cache.alike import nearest_of, vector_bytes
from retrieval.cache.answers import prepare_cached
from retrieval.cache.marks import telling_words
from retrieval.cache.responses import CacheIdentity, ResponseCache
from retrieval.request import QuestionRequest
from retrieval.response import Answer
from retrieval.vector import Vector
from tests.conftest import TenantFixture
from tests.model_process import ModelServer
from tests.retrieval.caches import LIMITS
from tests.retrieval.model_answers import ASKED, Answering, model, page_text
from tests.retrieval.published import Published, set_state
from tests.retrieval.test_cached_answers import told, whole

ALIKE = QuestionRequest(query="Please tell me: who paid for harbour cranes?")


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


async def test_a_question_is_embedded_once(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture,
    embedder: Embedder, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    await allow(database, tenant, 0.85)
    embedded: list[str] = []
    embed = embedder.embed

    def counted(texts: Sequence[str]) -> Vector:
        embedded.extend(texts)
        return embed(texts)

    monkeypatch.setattr(embedder, "embed", counted)
    made = await told(cache, answerer, tenant.access)
    assert made.citations
    assert embedded.count(ASKED.query) == 1


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
        (0.8, QuestionRequest(query="who financed the harbour cranes?")),
        (0.8, QuestionRequest(query="Who paid for harbour cranes?", top_k=7)),
        (0.8, QuestionRequest(query="Who paid for harbour cranes?", collection="documents")),
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


async def test_an_answer_made_while_it_is_turned_off_keeps_no_vector(
    cache: ResponseCache, answerer: Answerer, database: Database, tenant: TenantFixture
) -> None:
    await allow(database, tenant, 0.85)
    prepared = await prepare_cached(cache, answerer, tenant.access, ASKED, Pages(page_text))
    await allow(database, tenant, None)
    await whole(cache, prepared)
    async with database.transaction(tenant.access) as session:
        kept = await session.execute(
            text("SELECT alike_key, sealed_vector, size = length(sealed) FROM cached_response")
        )
        assert [tuple(row) for row in kept] == [(None, None, True)]


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
        ("How far is it from London to Paris?", "How far is it from Paris to London?"),
        ('What does "final" mean?', 'What does "draft" mean?'),
        ("Is it 5% of the price?", "Is it 5€ of the price?"),
        ("Who is the chair?", "Who is the vice-chair?"),
        ("What melts at -5 degrees?", "What melts at 5 degrees?"),
        ("What melts at −5 degrees?", "What melts at 5 degrees?"),
        ("When is x ≤ 5?", "When is x ≥ 5?"),
        ("When is x² large?", "When is x2 large?"),
        ("Who writes C#?", "Who writes C?"),
        ("What is 5!", "What is 5"),
        ("Was gilt vor der Kündigung?", "Was gilt nach der Kündigung?"),
        ("Schuldet der Mieter dem Vermieter?", "Schuldet dem Mieter der Vermieter?"),
        ("Qui paie en janvier?", "Qui paie en février?"),
        ("Que dit le livre?", "Que dit la livre?"),
        ("Is he able to sign?", "Is he unable to sign?"),
        ("Can I sign?", "Can I hardly sign?"),
        ("what opens in monday", "what opens in friday"),
        ("When did john smith sign?", "When did jane smith sign?"),
        ("Which law protects us?", "Which law protects the US?"),
        ("Which experience is needed?", "Which experiment is needed?"),
        ("Why do few pay?", "Why do a few pay?"),
        ("iPhone 有保修吗?", "iPhone 没有保修吗?"),
        ("谁付了钱？", "谁付了钱？"),
        ("Кто заплатил?", "Кто заплатил?"),
        ("2 + 2?", "2 + 2?"),
        ("", ""),
    ],
)
def test_what_tells_questions_apart(one: str, other: str) -> None:
    first = telling_words(one)
    assert first is None or first != telling_words(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Who paid for the harbour cranes?", "please tell me: who paid for harbour cranes"),
        ("What causes the error E42?", "what  causes error E42, please?"),
        ("Can you tell me who is there?", "Who is there?"),
        ("Wer zahlt die Miete?", "Bitte sagen Sie mir: wer zahlt die Miete?"),
        ("¿Quién paga?", "quién paga, por favor?"),
    ],
)
def test_another_wording_has_the_same_words(one: str, other: str) -> None:
    assert telling_words(one) == telling_words(other) is not None


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

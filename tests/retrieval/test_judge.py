"""What a language model says of an answer, and what comes of a model that says something else."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack

import pytest

from db.queries.token_budgets import standing_of
from db.session import Database
from muniment.contracts.evaluate_retrieval import EvaluatedAnswers
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from retrieval.answer import Answerer
from retrieval.answer_permit import NO_BUDGET, Permits
from retrieval.language_models.gateway import Gateway
from retrieval.language_models.judge import NO_VERDICT, PROMPT, Judge, Verdict
from retrieval.language_models.prompting import AnswerPrompt
from retrieval.question_evaluation import NO_JUDGE, Asking, Question, QuestionEvaluator
from retrieval.request import SearchMode, SearchRequest
from retrieval.response import SearchHit
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.model_process import ModelServer, serving_models
from tests.retrieval.model_answers import PAID, PASSAGES, QUESTION, model
from tests.retrieval.published import publish_file

Judging = Callable[..., Judge]


@pytest.fixture(scope="module")
def server() -> Iterator[ModelServer]:
    with serving_models() as server:
        yield server


@pytest.fixture
async def searcher(
    database: Database, tenant: TenantFixture, embedder: Embedder, texts: SealedTexts
) -> Searcher:
    await publish_file(
        database,
        tenant.access,
        tenant.collection_id,
        PASSAGES,
        embedder=embedder,
        name="harbour.pdf",
        metadata={"external_id": "h1"},
    )
    return Searcher(database, embedder, texts)


@pytest.fixture
async def hits(searcher: Searcher, tenant: TenantFixture) -> tuple[SearchHit, ...]:
    return (await searcher.search(tenant.access, SearchRequest(query=QUESTION))).data


@pytest.fixture
async def judging(database: Database, server: ModelServer) -> AsyncIterator[Judging]:
    async with AsyncExitStack() as stack:

        def made(behaviour: str, monthly_tokens: int | None = None) -> Judge:
            gateway = Gateway([model(server, behaviour)], max_answer_tokens=200, max_concurrent=2)
            prompt = AnswerPrompt(PROMPT)
            permits = Permits(database, gateway, prompt, monthly_tokens=monthly_tokens)
            stack.push_async_callback(permits.close)
            return Judge(permits)

        yield made


async def test_a_verdict_is_read_and_paid_for(
    judging: Judging, tenant: TenantFixture, hits: tuple[SearchHit, ...], database: Database
) -> None:
    verdict = await judging("judging").judge(tenant.access, QUESTION, PAID, hits)
    assert verdict == Verdict(faithfulness=0.5, context_precision=0.5, tokens=1050)
    async with database.transaction(tenant.access) as session:
        assert (await standing_of(session, None)).used == 1050


@pytest.mark.parametrize("behaviour", ["faithful", "obedient", "marked up"])
async def test_what_is_no_verdict_is_none(
    judging: Judging, tenant: TenantFixture, hits: tuple[SearchHit, ...], behaviour: str
) -> None:
    verdict = await judging(behaviour).judge(tenant.access, QUESTION, PAID, hits)
    assert isinstance(verdict, Verdict)
    assert (verdict.faithfulness, verdict.context_precision) == (None, None)


async def test_without_a_budget_nothing_is_judged(
    judging: Judging, tenant: TenantFixture, hits: tuple[SearchHit, ...]
) -> None:
    assert await judging("judging", 10).judge(tenant.access, QUESTION, PAID, hits) == NO_BUDGET


async def test_a_question_is_measured_with_its_judgement_and_by_an_external_id(
    judging: Judging, tenant: TenantFixture, searcher: Searcher, database: Database
) -> None:
    answerer = Answerer(database, searcher)
    asking = Asking(
        SearchMode.HYBRID, None, "metadata.external_id", EvaluatedAnswers.EXTRACTIVE, is_judged=True
    )
    question = Question(QUESTION, {"h1": 1.0}, [PAID])
    evaluator = QuestionEvaluator(database, searcher, answerer, judging("judging"))
    measured = await evaluator.evaluate(tenant.access, asking, question)
    assert measured.figures["ndcg@10"] == measured.figures["citation_precision"] == 1.0
    assert (measured.figures["faithfulness"], measured.figures["tokens"]) == (0.5, 1050)
    assert measured.notes == set()
    silent = QuestionEvaluator(database, searcher, answerer, judging("faithful"))
    assert (await silent.evaluate(tenant.access, asking, question)).notes == {NO_VERDICT}
    without = QuestionEvaluator(database, searcher, answerer, None)
    assert (await without.evaluate(tenant.access, asking, question)).notes == {NO_JUDGE}


async def test_a_question_without_judged_documents_is_measured_by_its_answer_alone(
    tenant: TenantFixture, searcher: Searcher, database: Database
) -> None:
    asking = Asking(SearchMode.LEXICAL, None, "name", EvaluatedAnswers.EXTRACTIVE, is_judged=False)
    evaluator = QuestionEvaluator(database, searcher, Answerer(database, searcher), None)
    question = Question(QUESTION, {}, [PAID])
    figures = (await evaluator.evaluate(tenant.access, asking, question)).figures
    assert not {"ndcg@10", "recall@100", "citation_precision"} & set(figures)
    assert figures["token_f1"] > 0.5

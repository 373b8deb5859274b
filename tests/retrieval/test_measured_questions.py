"""Whose documents count as found: of the words of a question, and of copies."""

import pytest

from db.session import Database
from muniment.contracts.evaluate_retrieval import EvaluatedAnswers
from muniment.objects import SealedTexts
from retrieval.answer import Answerer
from retrieval.question_evaluation import Asking, Question, QuestionEvaluator
from retrieval.request import SearchMode
from retrieval.search import Searcher
from tests.conftest import TenantFixture
from tests.retrieval.published import publish_file

PASSAGE = "The harbour master paid for the crane out of his own pocket in the spring of that year."
ASKING = Asking(SearchMode.LEXICAL, None, "name", EvaluatedAnswers.NONE, is_judged=False)


@pytest.fixture
def evaluator(database: Database, texts: SealedTexts) -> QuestionEvaluator:
    searcher = Searcher(database, None, texts)
    return QuestionEvaluator(database, searcher, Answerer(database, searcher), None)


async def test_all_of_a_question_is_words(
    database: Database, tenant: TenantFixture, evaluator: QuestionEvaluator
) -> None:
    await publish_file(database, tenant.access, tenant.collection_id, [PASSAGE], name="harbour.txt")
    asked = Question('who "paid for a harbour crane" -spring name:nobody', {"harbour.txt": 1.0}, [])
    measured = await evaluator.evaluate(tenant.access, ASKING, asked)
    assert measured.figures["ndcg@10"] == 1.0


async def test_each_copy_counts_as_found(
    database: Database, tenant: TenantFixture, evaluator: QuestionEvaluator
) -> None:
    names = [f"harbour {number}.txt" for number in range(3)]
    for name in names:
        await publish_file(database, tenant.access, tenant.collection_id, [PASSAGE], name=name)
    for name in names:
        asked = Question("who paid for the crane", {name: 1.0}, [])
        measured = await evaluator.evaluate(tenant.access, ASKING, asked)
        assert measured.figures["recall@10"] == 1.0

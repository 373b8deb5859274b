"""What evaluations search, answer and judge with, by what the settings say."""

from contextlib import AsyncExitStack

from db.session import Database
from muniment.embedding import Embedder
from muniment.objects import SealedTexts
from muniment.settings import Settings
from retrieval.answer import Answerer
from retrieval.answer_permit import Permits
from retrieval.bm25 import Bm25
from retrieval.language_models.from_settings import build_permits
from retrieval.language_models.judge import PROMPT as JUDGE_PROMPT
from retrieval.language_models.judge import Judge
from retrieval.language_models.prompting import AnswerPrompt
from retrieval.question_evaluation import QuestionEvaluator
from retrieval.search import Searcher


def build_evaluator(
    settings: Settings,
    database: Database,
    embedder: Embedder,
    texts: SealedTexts,
    resources: AsyncExitStack,
) -> QuestionEvaluator:
    """As the API searches and answers. `resources` end the ways to language models."""
    bm25 = Bm25(settings.lexical.k1, settings.lexical.b)
    searcher = Searcher(database, embedder, texts, bm25)
    permits = build_permits(settings.models, database)
    resources.push_async_callback(permits.close)
    judging = Permits(
        database,
        permits.gateway,
        AnswerPrompt(JUDGE_PROMPT),
        monthly_tokens=permits.monthly_tokens,
    )
    resources.push_async_callback(judging.close)
    return QuestionEvaluator(
        database,
        searcher,
        Answerer(database, searcher, permits),
        Judge(judging) if permits.has_models else None,
    )

"""What evaluations and lists of questions search, answer and judge with, by what the settings say."""

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import cached_property

from activities.evaluation.activity import Evaluations
from activities.question_lists.activity import QuestionLists
from db.session import Database
from muniment.embedding import Embedder
from muniment.objects import BlobStore, SealedTexts
from muniment.settings import Settings
from retrieval.answer import Answerer
from retrieval.answer_permit import Permits
from retrieval.bm25 import Bm25
from retrieval.language_models.from_settings import build_permits
from retrieval.language_models.judge import PROMPT as JUDGE_PROMPT
from retrieval.language_models.judge import Judge
from retrieval.language_models.prompting import AnswerPrompt
from retrieval.listed_questions import ListedQuestions
from retrieval.question_evaluation import QuestionEvaluator
from retrieval.search import Searcher


class AskingParts:
    """As the API searches and answers. `resources` end the ways to language models."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        embedder: Embedder,
        blobs: BlobStore,
        resources: AsyncExitStack,
    ) -> None:
        self._settings = settings
        self._database = database
        self._embedder = embedder
        self._blobs = blobs
        self._texts = SealedTexts(blobs)
        self._resources = resources

    def begin_and_end_activities(self) -> Sequence[Callable[..., object]]:
        """Of the queue of workflows: a row or two each."""
        return [
            self.evaluations.begin_evaluation,
            self.evaluations.end_evaluation,
            self.question_lists.end_question_list,
        ]

    @cached_property
    def evaluations(self) -> Evaluations:
        return Evaluations(
            self._database,
            QuestionEvaluator(self._database, self._searcher, self._answerer, self._judge),
        )

    @cached_property
    def question_lists(self) -> QuestionLists:
        questions = ListedQuestions(self._database, self._blobs, self._answerer)
        return QuestionLists(self._database, self._texts, questions)

    @cached_property
    def _searcher(self) -> Searcher:
        bm25 = Bm25(self._settings.lexical.k1, self._settings.lexical.b)
        return Searcher(self._database, self._embedder, self._texts, bm25)

    @cached_property
    def _answerer(self) -> Answerer:
        return Answerer(self._database, self._searcher, self._permits)

    @cached_property
    def _permits(self) -> Permits:
        permits = build_permits(self._settings.models, self._database)
        self._resources.push_async_callback(permits.close)
        return permits

    @property
    def _judge(self) -> Judge | None:
        if not self._permits.has_models:
            return None
        judging = Permits(
            self._database,
            self._permits.gateway,
            AnswerPrompt(JUDGE_PROMPT),
            monthly_tokens=self._permits.monthly_tokens,
        )
        self._resources.push_async_callback(judging.close)
        return Judge(judging)

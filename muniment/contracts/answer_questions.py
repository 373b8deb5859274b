"""The `AnswerQuestions` workflow: the questions of a list are answered one by one, under the rights that
whoever asked them has at that time.

Histories carry ids, counts and states: questions and answers lie sealed in rows.
"""

from abc import ABC, abstractmethod
from enum import StrEnum
from uuid import UUID

from pydantic import Field, JsonValue
from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "AnswerQuestions"
LOOK = "look"
"""The signal after which a paused one looks whether it may go on."""
PROGRESS = "progress"
"""The query that is answered with an AnsweredSoFar."""


class ListState(StrEnum):
    """`paused`: by a person, or since its tokens are used up."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    FAILED = "failed"


class QuestionOutcome(StrEnum):
    """`unanswered`: the documents do not say it. `failed`: it could not be asked. `erased`: a file whose
    passages were read for the answer was erased since."""

    ANSWERED = "answered"
    UNANSWERED = "unanswered"
    FAILED = "failed"
    ERASED = "erased"


class ListedQuestion(Contract):
    """A row of the file of questions, as it lies sealed. `id` is what its author calls it; what is expected
    is what the answer is graded by, each where it is given; `filter` as searches take it."""

    text: str
    id: str = ""
    expected_answer: str = ""
    expected_file: str = ""
    expected_page: int | None = None
    filter: dict[str, JsonValue] = Field(default_factory=dict)


class CitedPlace(Contract):
    """A citation of an answer: the file's name, the page, and the words that stand there."""

    n: int
    file_id: UUID
    file: str
    version: int
    page: int | None
    quote: str
    verified: bool


class Grades(Contract):
    """How near an answer is to what was expected, 0–1, each null where nothing was: as SQuAD measures the
    words; `file_cited` and `page_cited` are 1 where a citation leads there."""

    exact_match: float | None = None
    token_f1: float | None = None
    file_cited: float | None = None
    page_cited: float | None = None


class ListedAnswer(Contract):
    """What came of a question, as it lies sealed. `reasons` say what did not take part, or why it failed;
    `model` who worded it."""

    answer: str = ""
    citations: tuple[CitedPlace, ...] = ()
    degraded: bool = False
    reasons: tuple[str, ...] = ()
    model: str = ""
    milliseconds: float = 0.0
    grades: Grades = Grades()


class AnswerQuestionsInput(Contract):
    tenant_id: UUID
    list_id: UUID


class AnsweringState(StrEnum):
    """`over`: somebody ended it, or it is gone."""

    MORE = "more"
    PAUSED = "paused"
    ANSWERED = "answered"
    OVER = "over"


class AnsweredSoFar(Contract):
    state: AnsweringState = AnsweringState.MORE
    done: int = 0
    total: int = 0


class EndListInput(Contract):
    """`reason` says why it failed; never words of a question or a document."""

    tenant_id: UUID
    list_id: UUID
    state: ListState
    reason: str = ""


def workflow_id(list_id: UUID) -> str:
    return f"answer-questions-{list_id}"


class QuestionListActivities(ABC):
    @activity.defn(name="answer_questions")
    @abstractmethod
    async def answer_questions(self, request: AnswerQuestionsInput) -> AnsweredSoFar:
        """Answers some of the questions that were not asked yet. What came of one is committed before the
        next is asked, so that a repetition goes on there."""

    @activity.defn(name="end_question_list")
    @abstractmethod
    async def end_question_list(self, request: EndListInput) -> None:
        """From then on its answers are kept for the days that were asked for. Idempotent: one that is over
        stays as it is."""

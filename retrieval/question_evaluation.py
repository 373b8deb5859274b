"""One question of a set: searched, answered and judged, and what that came to in figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from time import perf_counter
from uuid import UUID

from db.queries.evaluations import documents_by_metadata
from db.session import Access, Database
from muniment.contracts.evaluate_retrieval import EvaluatedAnswers
from retrieval.answer import Answerer
from retrieval.answer_metrics import exact_match, token_f1, without_marks
from retrieval.language_models.judge import NO_VERDICT, Judge
from retrieval.ranking_metrics import Judgements, ndcg, recall, reciprocal_rank
from retrieval.request import MAX_TOP_K, Generate, QuestionRequest, SearchMode, SearchRequest
from retrieval.response import Answer, SearchHit
from retrieval.search import Searcher

BY_NAME = "name"
BY_ID = "id"
METADATA = "metadata."
"""What a document is called by: `metadata.` and the name of a field."""
NO_JUDGE = "no language model is configured: faithfulness and context precision were left out"


@dataclass(frozen=True)
class Asking:
    """How the questions of a set are asked."""

    mode: SearchMode
    collection: str | None
    identified_by: str
    answers: EvaluatedAnswers
    is_judged: bool


@dataclass(frozen=True)
class Question:
    """`judgements`: by document the grade of those that answer it; `answers`: those that are right."""

    text: str
    judgements: Judgements
    answers: Sequence[str]


@dataclass
class Measured:
    """Figures by name, and what could not be measured."""

    figures: dict[str, float] = field(default_factory=dict)
    notes: set[str] = field(default_factory=set)


class QuestionEvaluator:
    """Holds nothing of any tenant. Without a judge answers are measured by what the set knows alone."""

    def __init__(
        self, database: Database, searcher: Searcher, answerer: Answerer, judge: Judge | None
    ) -> None:
        self._database = database
        self._searcher = searcher
        self._answerer = answerer
        self._judge = judge

    async def evaluate(self, access: Access, asking: Asking, question: Question) -> Measured:
        """Raises what a search and an answer raise."""
        measured = Measured()
        await self._search(access, asking, question, measured)
        if asking.answers is not EvaluatedAnswers.NONE:
            await self._answer(access, asking, question, measured)
        return measured

    async def _search(
        self, access: Access, asking: Asking, question: Question, measured: Measured
    ) -> None:
        began = perf_counter()
        found = await self._searcher.search(
            access,
            # All of the question is words, as for its answer, and a copy hides no document that is judged.
            SearchRequest(
                query=question.text,
                operators=False,
                show_duplicates=True,
                mode=asking.mode,
                top_k=MAX_TOP_K,
                collection=asking.collection,
            ),
        )
        measured.figures["search_ms"] = (perf_counter() - began) * 1000
        measured.figures["degraded"] = float(found.degraded)
        if not question.judgements:
            return
        called = await self._documents(access, asking, question.judgements, found.data)
        ranking = list(dict.fromkeys(called[hit.file_id] for hit in found.data))
        measured.figures |= {
            "ndcg@10": ndcg(ranking, question.judgements),
            "mrr@10": reciprocal_rank(ranking, question.judgements),
            "recall@10": recall(ranking, question.judgements, 10),
            "recall@100": recall(ranking, question.judgements, 100),
        }

    async def _answer(
        self, access: Access, asking: Asking, question: Question, measured: Measured
    ) -> None:
        began = perf_counter()
        answer = await self._answerer.answer(
            access,
            QuestionRequest(
                query=question.text,
                collection=asking.collection,
                generate=Generate(asking.answers.value),
            ),
        )
        figures = measured.figures
        figures["answer_ms"] = (perf_counter() - began) * 1000
        figures["unanswered"] = float(not answer.citations)
        figures["tokens"] = float(answer.meta.tokens.prompt + answer.meta.tokens.completion)
        said = without_marks(answer.answer)
        if question.answers:
            figures["exact_match"] = exact_match(said, question.answers)
            figures["token_f1"] = token_f1(said, question.answers)
        if answer.citations and question.judgements:
            called = await self._documents(access, asking, question.judgements, answer.sources)
            right = [called.get(each.file_id) in question.judgements for each in answer.citations]
            figures["citation_precision"] = sum(right) / len(right)
        if asking.is_judged and answer.citations:
            await self._have_judged(access, question, said, answer, measured)

    async def _have_judged(
        self, access: Access, question: Question, said: str, answer: Answer, measured: Measured
    ) -> None:
        if self._judge is None:
            measured.notes.add(NO_JUDGE)
            return
        verdict = await self._judge.judge(access, question.text, said, answer.sources)
        if isinstance(verdict, str):
            measured.notes.add(f"some answers were not judged: {verdict.partition(': ')[0]}")
            return
        measured.figures["tokens"] += verdict.tokens
        if verdict.context_precision is None:
            measured.notes.add(NO_VERDICT)
        else:
            measured.figures["context_precision"] = verdict.context_precision
        if verdict.faithfulness is not None:
            measured.figures["faithfulness"] = verdict.faithfulness

    async def _documents(
        self,
        access: Access,
        asking: Asking,
        judgements: Judgements,
        hits: Sequence[SearchHit],
    ) -> Mapping[UUID, str]:
        """What the judgements call the files of the hits."""
        if asking.identified_by == BY_ID:
            return {hit.file_id: str(hit.file_id) for hit in hits}
        if asking.identified_by == BY_NAME:
            return {hit.file_id: document_of(hit.name, judgements) for hit in hits}
        wanted = asking.identified_by.removeprefix(METADATA)
        file_ids = list(dict.fromkeys(hit.file_id for hit in hits))
        async with self._database.transaction(access) as session:
            known = await documents_by_metadata(session, file_ids, wanted)
        return {file_id: known.get(file_id, str(file_id)) for file_id in file_ids}


def document_of(name: str, judgements: Judgements) -> str:
    """A file's name, or the name without its ending where the judgements know that alone."""
    stem = PurePosixPath(name).stem
    return stem if name not in judgements and stem in judgements else name

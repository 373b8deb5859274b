"""One question of a list: answered under its asker's rights, and graded by what was expected."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from time import perf_counter
from uuid import UUID

from db.session import Access, Database
from muniment.contracts.answer_questions import (
    CitedPlace,
    Grades,
    ListedAnswer,
    ListedQuestion,
)
from muniment.objects import BlobStore
from retrieval.answer import Answerer
from retrieval.answer_metrics import exact_match, token_f1, without_marks
from retrieval.cited_pages import PageReaders
from retrieval.request import Generate, QuestionRequest
from retrieval.response import Answer


@dataclass(frozen=True)
class ListAsking:
    """How the questions of a list are asked."""

    collection: str | None
    generate: Generate
    top_k: int


@dataclass(frozen=True)
class Answered:
    """`sources`: the files whose passages were read for it. `tokens`: what language models read and wrote."""

    answer: ListedAnswer
    is_found: bool
    sources: frozenset[UUID]
    tokens: int


class ListedQuestions:
    """Holds nothing of any tenant."""

    def __init__(self, database: Database, blobs: BlobStore, answerer: Answerer) -> None:
        self._database = database
        self._blobs = blobs
        self._answerer = answerer

    async def answer(
        self, access: Access, asking: ListAsking, question: ListedQuestion
    ) -> Answered:
        """With every quote looked for on its page. Raises what Answerer.answer raises."""
        began = perf_counter()
        readers = PageReaders(self._database, self._blobs, access)
        said = await self._answerer.answer(
            access,
            QuestionRequest(
                query=question.text,
                top_k=asking.top_k,
                collection=asking.collection,
                filter=question.filter,
                generate=asking.generate,
            ),
            page_text=readers.text,
            page_lines=readers.lines,
        )
        citations = _citations(said)
        answer = ListedAnswer(
            answer=said.answer,
            citations=citations,
            degraded=said.meta.degraded,
            reasons=said.meta.reasons,
            model=said.meta.model,
            milliseconds=(perf_counter() - began) * 1000,
            grades=grades(question, said.answer, citations),
        )
        read = {each.file_id for each in said.sources} | {each.file_id for each in said.citations}
        tokens = said.meta.tokens
        return Answered(answer, bool(citations), frozenset(read), tokens.prompt + tokens.completion)


def _citations(said: Answer) -> tuple[CitedPlace, ...]:
    return tuple(
        CitedPlace(
            n=each.n,
            file_id=each.file_id,
            file=each.name,
            version=each.version,
            page=each.page,
            quote=each.quote,
            verified=each.verified,
        )
        for each in said.citations
    )


def grades(question: ListedQuestion, answer: str, citations: Sequence[CitedPlace]) -> Grades:
    """By what the question says of it; nothing where it says nothing."""
    words: dict[str, float] = {}
    if question.expected_answer:
        said, right = without_marks(answer), [question.expected_answer]
        words = {"exact_match": exact_match(said, right), "token_f1": token_f1(said, right)}
    there = [each for each in citations if _is_called(each, question.expected_file)]
    places: dict[str, float] = {}
    if question.expected_file:
        places["file_cited"] = float(bool(there))
    if question.expected_page is not None:
        places["page_cited"] = float(any(each.page == question.expected_page for each in there))
    return Grades(**words, **places)


def _is_called(citation: CitedPlace, expected: str) -> bool:
    """By its name, with or without the ending, or its id; any file where none is expected."""
    stem = PurePosixPath(citation.file).stem
    return not expected or expected in (citation.file, stem, str(citation.file_id))

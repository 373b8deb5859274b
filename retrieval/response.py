"""What is answered: hits with their places, answers with their citations."""

from typing import Literal
from uuid import UUID

from muniment.contracts.base import Contract
from muniment.contracts.documents import PageBox
from retrieval.request import SearchMode


class HitScores(Contract):
    """BM25, cosine and the reranker's score; null where that part did not rank the passage."""

    lexical: float | None
    vector: float | None
    rerank: float | None = None


class HitExplanation(Contract):
    """Ranks from 1 in each list, null where absent, and what each list gave to `score`."""

    lexical_rank: int | None
    vector_rank: int | None
    lexical_part: float
    vector_part: float


class SearchHit(Contract):
    """`highlights` are [start, end) code points in `text`. `score` orders the hits; its scale is that
    of the fusion in hybrid mode, BM25 or cosine in the others. `sealed`: of a collection with
    `encrypted_text`, so found by meaning alone and without highlights. `text_missing`: its key could
    not be had now, so that text and headings are empty. `injection_suspected`: it seems to speak to a
    machine (retrieval/injection.py); of sources of an answer alone."""

    chunk_id: UUID
    file_id: UUID
    version: int
    name: str
    text: str
    headings: tuple[str, ...]
    highlights: tuple[tuple[int, int], ...]
    score: float
    pages: tuple[int, ...]
    boxes: tuple[PageBox, ...]
    scores: HitScores
    sealed: bool = False
    text_missing: bool = False
    injection_suspected: bool = False
    explanation: HitExplanation | None = None


class UnderstoodQuery(Contract):
    """What a query was taken for: words that score, beginnings of words that do, what each hit fulfils, as
    it could be written, and what was looked for beside the words (docs/search.md)."""

    words: str
    prefixes: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()


class SearchResponse(Contract):
    """`degraded` when something that was asked for did not take part; `reasons` say what.
    `truncated` when not everything was considered. `understood`: null where the query is
    words and nothing was looked for but these."""

    data: tuple[SearchHit, ...]
    mode_used: SearchMode
    degraded: bool
    reasons: tuple[str, ...] = ()
    truncated: bool
    understood: UnderstoodQuery | None = None
    timings_ms: dict[str, float]


class Citation(Contract):
    """`quote` stands in the chunk's text exactly so. `page` is the page it stands on (or begins on);
    `boxes` lie on that page. `verified` only after both were checked against the stored text, and
    where a language model answered, that it says what is claimed (retrieval/answer_claims.py).

    A model's citations have the numbers of their passages in `sources`, from 1; several have the same
    number where the passage is cited for several things."""

    n: int
    chunk_id: UUID
    file_id: UUID
    version: int
    name: str
    page: int | None
    boxes: tuple[PageBox, ...]
    quote: str
    verified: bool
    injection_suspected: bool = False


class TokenCount(Contract):
    """Tokens that a language model read and wrote; 0 when none took part."""

    prompt: int = 0
    completion: int = 0


class AnswerMeta(Contract):
    """`model` is `extractive` where no language model answered; else `provider` is its name here, and
    `prompt` the version of the prompt. `truncated` when the search did not consider everything.
    `unknown_marks` are citations that were taken out of its words,
    since they name no passage that it was shown."""

    model: str
    provider: str | None = None
    prompt: str | None = None
    mode: SearchMode
    cached: bool
    degraded: bool
    reasons: tuple[str, ...]
    truncated: bool = False
    unknown_marks: int = 0
    timings_ms: dict[str, float]
    tokens: TokenCount


class Answer(Contract):
    """`citations` are numbered as the marks [n] in `answer`; without any, nothing was found.
    `sources` are the passages that were read."""

    answer: str
    citations: tuple[Citation, ...]
    sources: tuple[SearchHit, ...]
    meta: AnswerMeta


class TokenEvent(Contract):
    """A further piece of the answer; all pieces joined are the answer."""

    event: Literal["token"] = "token"
    text: str


class CitationEvent(Contract):
    event: Literal["citation"] = "citation"
    citation: Citation


class DoneEvent(Contract):
    """The whole answer once more: the last event."""

    event: Literal["done"] = "done"
    answer: Answer


AnswerEvent = TokenEvent | CitationEvent | DoneEvent

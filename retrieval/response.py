"""What is answered: hits with their places, answers with their citations."""

from typing import Literal
from uuid import UUID

from muniment.contracts.base import Contract
from muniment.contracts.documents import PageBox
from retrieval.query_types import QueryType
from retrieval.request import FusionMethod, SearchMode


class HitScores(Contract):
    """BM25, cosine and the reranker's score; null where that part did not rank the passage."""

    lexical: float | None
    vector: float | None
    rerank: float | None = None


class TermScore(Contract):
    """What a word of the question gave to the BM25 of a passage. `term`: its stem, as `language` has it;
    `weight`: how rare it is there, times how often it is asked for; `occurrences` in the passage, where a
    passage with nothing but a synonym of it counts half a one."""

    term: str
    language: str
    weight: float
    occurrences: float
    score: float


class HitExplanation(Contract):
    """Ranks from 1 in each list and by the reranker, null where absent. `fused` is the sum of what each list
    gave to it. `terms`: the words whose scores add up to `scores.lexical`, the greatest first."""

    lexical_rank: int | None
    vector_rank: int | None
    lexical_part: float
    vector_part: float
    fused: float
    rerank_rank: int | None = None
    terms: tuple[TermScore, ...] = ()


class SearchExplanation(Contract):
    """How the lists became one: the type of the question (`null` where the request says the weight), the
    method, the weight of vectors, and the model that reranked."""

    query_type: QueryType | None
    method: FusionMethod
    alpha: float
    reranker: str | None


class Duplicate(Contract):
    """A passage that says the same as the hit."""

    chunk_id: UUID
    file_id: UUID
    version: int
    name: str
    pages: tuple[int, ...]


class Neighbour(Contract):
    """A passage that stands before or after the hit."""

    chunk_id: UUID
    text: str
    pages: tuple[int, ...]


class Section(Contract):
    """The text under the same `headings` as the hit's, with what is below them; `truncated` where it is
    longer than 21 passages or 8,000 characters."""

    headings: tuple[str, ...]
    text: str
    pages: tuple[int, ...]
    truncated: bool


class HitContext(Contract):
    """`before` and `after` in the order of the document; `section` null where it was not asked for, or the
    passage has no headings."""

    before: tuple[Neighbour, ...]
    after: tuple[Neighbour, ...]
    section: Section | None


class SearchHit(Contract):
    """`highlights` are [start, end) code points in `text`. `score` orders the hits; its scale is that
    of the fusion in hybrid mode, BM25 or cosine in the others; where a reranker took part, its score as a
    probability, 0 for what it was not asked about. `duplicates`: how many passages that were found say the
    same and are not shown, the first ten of them in `also_in`. `sealed`: of a collection with
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
    duplicates: int = 0
    also_in: tuple[Duplicate, ...] = ()
    context: HitContext | None = None
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
    words and nothing was looked for but these. `cached`: told as it was before; nothing has changed since
    that could change it."""

    data: tuple[SearchHit, ...]
    mode_used: SearchMode
    degraded: bool
    reasons: tuple[str, ...] = ()
    truncated: bool
    understood: UnderstoodQuery | None = None
    timings_ms: dict[str, float]
    cached: bool = False
    explanation: SearchExplanation | None = None


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
    `prompt` the version of the prompt. `cached`: told as it was before, since nothing has changed that could
    change it; `tokens` are then 0. `semantic`: told before to another question, `cached_distance` (1 less the
    cosine) away from this one, which happens only where the tenant set that. `truncated` when the search did
    not consider everything. `unknown_marks` are citations that were taken out of its words, since they name
    no passage that it was shown."""

    model: str
    provider: str | None = None
    prompt: str | None = None
    mode: SearchMode
    cached: bool | Literal["semantic"]
    cached_distance: float | None = None
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

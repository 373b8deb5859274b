"""What is kept of a response, and which are."""

from collections.abc import Sequence
from uuid import UUID

from muniment.contracts.base import Contract
from retrieval.answer_permit import NO_MODEL, NOT_ALLOWED
from retrieval.response import (
    Answer,
    AnswerEvent,
    CitationEvent,
    SearchHit,
    SearchResponse,
    TokenEvent,
)

STANDING_REASONS = frozenset({NO_MODEL, NOT_ALLOWED})
"""What an answer lacks by what is set, and will lack until that is changed: nothing failed."""


class KeptSearch(Contract):
    response: SearchResponse

    @property
    def hits(self) -> tuple[SearchHit, ...]:
        return self.response.data

    @property
    def models(self) -> tuple[str, ...]:
        """None has a part in a search."""
        return ()


class KeptAnswer(Contract):
    """`steps` came before its end, in their order. `models`: those that could have been asked."""

    answer: Answer
    steps: tuple[TokenEvent | CitationEvent, ...]
    models: tuple[str, ...]

    @property
    def hits(self) -> tuple[SearchHit, ...]:
        return self.answer.sources


Kept = KeptSearch | KeptAnswer


def is_search_kept(found: SearchResponse) -> bool:
    """Nothing is that lacks something, nor the text of what is sealed elsewhere."""
    return not (found.degraded or found.truncated) and _may_be_kept(found.data)


def is_answer_kept(answer: Answer) -> bool:
    """Nothing is that lacks what it might have next time, or is not proven; of a language model, only what
    cites."""
    meta = answer.meta
    is_whole = STANDING_REASONS.issuperset(meta.reasons) and not (
        meta.truncated or meta.unknown_marks
    )
    is_proven = all(each.verified for each in answer.citations)
    return (
        is_whole
        and is_proven
        and bool(answer.citations or meta.provider is None)
        and _may_be_kept(answer.sources)
    )


def _may_be_kept(hits: Sequence[SearchHit]) -> bool:
    """Those of collections with `encrypted_text` are not, and not those that went out of reach."""
    return not any(hit.sealed or hit.text_missing or not hit.text for hit in hits)


def chunk_ids_of(kept: Kept) -> frozenset[UUID]:
    """Of the passages that it tells of; what stands around one is of the same version."""
    return frozenset(
        chunk_id
        for hit in kept.hits
        for chunk_id in (hit.chunk_id, *(each.chunk_id for each in hit.also_in))
    )


def file_ids_of(kept: Kept) -> frozenset[UUID]:
    """Of the files of which something is in it."""
    return frozenset(
        file_id
        for hit in kept.hits
        for file_id in (hit.file_id, *(each.file_id for each in hit.also_in))
    )


def with_step(steps: list[TokenEvent | CitationEvent], event: AnswerEvent) -> None:
    """Adds the event; words that follow each other become one."""
    if isinstance(event, CitationEvent):
        steps.append(event)
    elif isinstance(event, TokenEvent):
        last = steps[-1] if steps else None
        if isinstance(last, TokenEvent):
            steps[-1] = TokenEvent(text=last.text + event.text)
        else:
            steps.append(event)


def with_look_up(timings_ms: dict[str, float], milliseconds: float) -> dict[str, float]:
    """With the time in which it was found out that there was nothing to tell again."""
    total = timings_ms["total"] + milliseconds
    return {**timings_ms, "cache": round(milliseconds, 3), "total": round(total, 3)}

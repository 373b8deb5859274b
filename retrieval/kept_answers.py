"""Answers as conversations keep them: their words, their citations, and where all that came from."""

from collections.abc import Sequence
from uuid import UUID

from muniment.contracts.base import Contract
from retrieval.response import Answer, Citation, SearchHit


class KeptSource(Contract):
    """A passage that was read for an answer: `n` is its place among them, from 1. Neither what it says nor
    what its file is called, so that there is nothing to forget with the file."""

    n: int
    chunk_id: UUID
    file_id: UUID
    version: int
    pages: tuple[int, ...]
    injection_suspected: bool = False


class Provenance(Contract):
    """How an answer came to be. `asked` is what was searched for and answered: the question as it was put,
    or, of a follow-up, in its context. `rewritten_by` says who put it so: `rule`, or the name of a model."""

    asked: str
    rewritten_by: str | None = None
    model: str
    provider: str | None
    prompt: str | None
    mode: str
    degraded: bool
    reasons: tuple[str, ...]
    truncated: bool
    unknown_marks: int
    prompt_tokens: int
    completion_tokens: int
    sources: tuple[KeptSource, ...]


class AnswerWords(Contract):
    """What is sealed of an answer."""

    text: str
    citations: tuple[Citation, ...] = ()
    provenance: Provenance | None = None


def kept_answer(answer: Answer, asked: str, rewritten_by: str | None) -> AnswerWords:
    meta = answer.meta
    return AnswerWords(
        text=answer.answer,
        citations=answer.citations,
        provenance=Provenance(
            asked=asked,
            rewritten_by=rewritten_by,
            model=meta.model,
            provider=meta.provider,
            prompt=meta.prompt,
            mode=meta.mode.value,
            degraded=meta.degraded,
            reasons=meta.reasons,
            truncated=meta.truncated,
            unknown_marks=meta.unknown_marks,
            prompt_tokens=meta.tokens.prompt,
            completion_tokens=meta.tokens.completion,
            sources=kept_sources(answer.sources),
        ),
    )


def kept_sources(hits: Sequence[SearchHit]) -> tuple[KeptSource, ...]:
    return tuple(
        KeptSource(
            n=n,
            chunk_id=hit.chunk_id,
            file_id=hit.file_id,
            version=hit.version,
            pages=hit.pages,
            injection_suspected=hit.injection_suspected,
        )
        for n, hit in enumerate(hits, start=1)
    )


def quoted_files(answer: Answer) -> frozenset[UUID] | None:
    """Those whose words are in the answer; None where a model worded it, which may have taken them from any
    passage."""
    if answer.meta.provider is not None:
        return None
    return frozenset(citation.file_id for citation in answer.citations)

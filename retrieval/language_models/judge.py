"""What a language model says of an answer: is it supported by the passages, and were those worth reading.

It is asked as for an answer: only where collections, pauses and the tenant's budget allow it, and what it
is told is written down before.
"""

from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from pydantic import Field, ValidationError

from db.session import Access
from muniment.contracts.base import Contract
from retrieval.answer_permit import Permit, Permits
from retrieval.language_models.gateway import Generation
from retrieval.response import SearchHit

PROMPT = "judge-1"
NO_VERDICT = "a language model gave no verdict on some answers"
_MOST_CLAIMS = 200


@dataclass(frozen=True)
class Verdict:
    """`faithfulness`: the share of the answer's claims that the passages support. `context_precision`:
    the average precision of the passages in their order, 0–1. `tokens`: what it cost. None where the
    model did not say."""

    faithfulness: float | None
    context_precision: float | None
    tokens: int


class _Said(Contract):
    """As the prompt asks for it."""

    claims: int = Field(ge=0, le=_MOST_CLAIMS)
    supported: int = Field(ge=0, le=_MOST_CLAIMS)
    useful: tuple[int, ...] = Field(max_length=_MOST_CLAIMS)


class Judge:
    """Holds nothing of any tenant. The permits' prompt is PROMPT."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits

    async def judge(
        self, access: Access, question: str, answer: str, hits: Sequence[SearchHit]
    ) -> Verdict | str:
        """Or why none could be had."""
        asked = f"Question: {question}\n\nAnswer: {answer}"
        permit = await self._permits.grant(access, asked, hits, is_required=False)
        if isinstance(permit, str):
            return permit
        generation = self._permits.gateway.generation(
            permit.models,
            lambda model: permit.packed[model.name].messages,
            partial(self._permits.holds, access, permit),
            is_whole=True,
        )
        try:
            async with aclosing(generation.pieces()) as pieces:
                words = "".join([piece async for piece in pieces])
        finally:
            await self._permits.settle(
                access, permit, generation.prompt_tokens, generation.completion_tokens
            )
        return _verdict(words, permit, generation)


def _verdict(words: str, permit: Permit, generation: Generation) -> Verdict:
    said = _said(words)
    if said is None:
        return Verdict(None, None, generation.spent_tokens)
    supported = min(said.supported, said.claims) / said.claims if said.claims else None
    shown = sorted(permit.numbers(generation.model))
    return Verdict(supported, average_precision(shown, set(said.useful)), generation.spent_tokens)


def _said(words: str) -> _Said | None:
    """What stands between the first brace and the last: some models explain themselves around it."""
    begin, end = words.find("{"), words.rfind("}")
    try:
        return _Said.model_validate_json(words[begin : end + 1])
    except ValidationError:
        return None


def average_precision(ranking: Sequence[int], useful: Collection[int]) -> float:
    """The mean, over the useful ones, of the share of useful ones up to each; 0 where none is useful."""
    found = 0
    total = 0.0
    for rank, number in enumerate(ranking, start=1):
        if number in useful:
            found += 1
            total += found / rank
    return total / found if found else 0.0

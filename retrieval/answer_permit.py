"""Whether a model may be asked: is there one, may it read these passages, and is there a budget left.

All in one transaction, which also writes down what is about to be told to whom.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import structlog

from db.audit import Act, record
from db.models import now
from db.queries import language_models, token_budgets
from db.session import Access, Database
from muniment.errors import DatabaseUnavailable, TokenBudgetExhausted, TooManyRequests
from muniment.telemetry import context, metrics
from retrieval.language_models.gateway import Gateway, Generation
from retrieval.language_models.model import Model
from retrieval.language_models.prompting import AnswerPrompt, NumberedPassage, Packed
from retrieval.language_models.tokens import PER_MESSAGE, estimate
from retrieval.response import SearchHit

NO_MODEL = "no language model is configured: the answer is made of the documents' own sentences"
ALL_PAUSED = "every language model is paused: the answer is made of the documents' own sentences"
NOT_ALLOWED = (
    "collections of these passages do not let a language model read them that could be asked: the answer"
    " is made of the documents' own sentences"
)
NOTHING_TO_SHOW = (
    "no passage fits into a language model's window beside the question: the answer is made of the"
    " documents' own sentences"
)
NO_BUDGET = (
    "the tenant's tokens of this month are used up: the answer is made of the documents' sentences"
)
TOO_BUSY = "the language models are busy: the answer is made of the documents' own sentences"

_log = structlog.get_logger(__name__)

_GRACE = timedelta(seconds=60)
"""Longer than the longest answer, so that no reservation of an answer that is still made comes back."""


@dataclass(frozen=True)
class Permit:
    """These models may be asked with these words. Settled once, however the answer ended."""

    models: tuple[Model, ...]
    packed: dict[str, Packed]
    reservation_id: UUID

    def numbers(self, model: Model | None) -> frozenset[int]:
        """Of the passages that the model was shown."""
        return self.packed[model.name].numbers if model is not None else frozenset()


class Permits:
    """Holds nothing of any tenant. `monthly_tokens`: the budget of tenants without one of their own."""

    def __init__(
        self,
        database: Database,
        gateway: Gateway,
        prompt: AnswerPrompt,
        *,
        monthly_tokens: int | None,
    ) -> None:
        self._database = database
        self.gateway = gateway
        self.prompt = prompt
        self.monthly_tokens = monthly_tokens

    @property
    def has_models(self) -> bool:
        return bool(self.gateway.models)

    async def grant(
        self, access: Access, question: str, hits: Sequence[SearchHit], *, is_required: bool
    ) -> Permit | str:
        """The permit, or why there is none. With `is_required` TooManyRequests instead of the reason,
        where waiting helps: TokenBudgetExhausted, or all places are taken."""
        if not self.has_models:
            return NO_MODEL
        try:
            self.gateway.require_place()
            return await self._granted(access, question, hits)
        except TooManyRequests as error:
            if is_required:
                raise
            return NO_BUDGET if isinstance(error, TokenBudgetExhausted) else TOO_BUSY

    async def still_readable(self, access: Access, chunk_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Those that the caller may read at this moment."""
        async with self._database.transaction(access) as session:
            return frozenset(await language_models.readable_passages(session, chunk_ids))

    async def settle(self, access: Access, permit: Permit, generation: Generation) -> None:
        """Counts what was spent, also where whoever asked is gone: to its end, even when cancelled."""
        metrics.model_tokens_total.labels("prompt").inc(generation.prompt_tokens)
        metrics.model_tokens_total.labels("completion").inc(generation.completion_tokens)
        spent = generation.prompt_tokens + generation.completion_tokens
        await asyncio.shield(self._settle(access, permit.reservation_id, spent))

    async def _settle(self, access: Access, reservation_id: UUID, spent: int) -> None:
        """Without PostgreSQL the reservation holds until it expires: the answer is there all the same."""
        try:
            async with self._database.transaction(access) as session:
                await token_budgets.settle(session, access.tenant_id, reservation_id, spent)
        except DatabaseUnavailable as error:
            _log.warning("tokens_not_settled", reason=error.problem, tokens=spent)

    async def _granted(
        self, access: Access, question: str, hits: Sequence[SearchHit]
    ) -> Permit | str:
        async with self._database.transaction(access) as session:
            paused = {each.model for each in await language_models.pauses(session)}
            models = [each for each in self.gateway.models if each.name not in paused]
            if not models:
                return ALL_PAUSED
            uses = await language_models.readable_passages(
                session, [hit.chunk_id for hit in hits if hit.text]
            )
            passages = [
                NumberedPassage(number, "\n".join((*hit.headings, hit.text)))
                for number, hit in enumerate(hits, start=1)
                if hit.chunk_id in uses
            ]
            packed = {model.name: self._packed(model, question, passages) for model in models}
            if not any(each.numbers for each in packed.values()):
                return NOTHING_TO_SHOW
            allowed = tuple(
                model
                for model in models
                if packed[model.name].numbers
                and all(
                    model.may_read(uses[hits[number - 1].chunk_id])
                    for number in packed[model.name].numbers
                )
            )
            if not allowed:
                return NOT_ALLOWED
            wanted = self.gateway.max_answer_tokens + max(
                _size(packed[model.name]) for model in allowed
            )
            reservation_id = await token_budgets.reserve(
                session,
                access.tenant_id,
                wanted,
                now() + timedelta(seconds=self.gateway.longest_seconds) + _GRACE,
                self.monthly_tokens,
            )
            numbers = frozenset().union(*(packed[model.name].numbers for model in allowed))
            files = {str(hits[number - 1].file_id) for number in numbers}
            record(session, _act(access, allowed, sorted(files), wanted))
        return Permit(allowed, packed, reservation_id)

    def _packed(self, model: Model, question: str, passages: Sequence[NumberedPassage]) -> Packed:
        room = model.context_tokens - self.gateway.max_answer_tokens
        return self.prompt.pack(question, passages, room)


def _size(packed: Packed) -> int:
    return sum(PER_MESSAGE + estimate(each.content) for each in packed.messages)


def _act(access: Access, models: Sequence[Model], files: Sequence[str], tokens: int) -> Act:
    """Which files' passages may be told to which models; neither them nor the question."""
    return Act(
        action="query.model_asked",
        object_type="search",
        object_id=None,
        tenant_id=access.tenant_id,
        actor_id=access.principal_id,
        request_id=context.request_id(),
        payload={
            "models": [model.name for model in models],
            "files": [*files],
            "reserved_tokens": tokens,
        },
    )

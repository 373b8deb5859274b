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
from muniment.errors import (
    DatabaseUnavailable,
    MunimentError,
    TokenBudgetExhausted,
    TooManyRequests,
    Unprocessable,
)
from muniment.telemetry import context, metrics
from retrieval.language_models.gateway import Gateway
from retrieval.language_models.model import Model
from retrieval.language_models.prompting import AnswerPrompt, NumberedPassage, Packed
from retrieval.language_models.tokens import PER_MESSAGE, estimate
from retrieval.request import Generate
from retrieval.response import SearchHit

NO_MODEL = "no language model is configured: the answer is made of the documents' own sentences"
ALL_PAUSED = "every language model is paused: the answer is made of the documents' own sentences"
NOT_ALLOWED = (
    "collections of these passages do not let a language model read them that could be asked: the answer"
    " is made of the documents' own sentences"
)
PAUSED_OR_NOT_ALLOWED = (
    "language models are paused, and collections of these passages do not let the others read them: the"
    " answer is made of the documents' own sentences"
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

_SETTLE_ATTEMPTS = 5
_SETTLE_PAUSE_SECONDS = 1.0
_SETTLE_WAIT_SECONDS = 2.0
"""What is longer in settling goes on behind the answer."""


@dataclass(frozen=True)
class Permit:
    """These models may be asked with these words, and one of the process's places is taken for that. Settled
    once, however the answer ended. `chunk_ids`: of the passages, by their numbers. `not_paused`: the names
    of all models that were not, whether they may read these passages or not."""

    models: tuple[Model, ...]
    packed: dict[str, Packed]
    chunk_ids: dict[int, UUID]
    reservation_id: UUID
    not_paused: tuple[str, ...]

    def numbers(self, model: Model | None) -> frozenset[int]:
        """Of the passages that the model was shown."""
        return self.packed[model.name].numbers if model is not None else frozenset()

    def shown(self, model: Model | None) -> list[UUID]:
        """These passages."""
        return [self.chunk_ids[number] for number in sorted(self.numbers(model))]


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
        self._settling: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Waits for what is still to be settled: a bounded number of attempts each."""
        if self._settling:
            await asyncio.wait(self._settling)
        await self.gateway.close()

    @property
    def has_models(self) -> bool:
        return bool(self.gateway.models)

    async def grant(
        self, access: Access, question: str, hits: Sequence[SearchHit], *, is_required: bool
    ) -> Permit | str:
        """The permit, or why there is none. With `is_required` an error instead of the reason, where waiting
        helps: TokenBudgetExhausted, TooManyRequests when all places are taken, DatabaseUnavailable."""
        if not self.has_models:
            return NO_MODEL
        try:
            return await self._with_place(access, question, hits)
        except (TooManyRequests, DatabaseUnavailable) as error:
            if is_required:
                raise
            return NO_BUDGET if isinstance(error, TokenBudgetExhausted) else TOO_BUSY

    async def _with_place(
        self, access: Access, question: str, hits: Sequence[SearchHit]
    ) -> Permit | str:
        self.gateway.take_place()
        granted: Permit | str = ""
        try:
            granted = await self._granted(access, question, hits)
        finally:
            if not isinstance(granted, Permit):
                self.gateway.give_place_back()
        return granted

    async def holds(self, access: Access, permit: Permit, model: Model, spent: int) -> bool:
        """Whether this further model may still be asked, minutes after the permit perhaps: it is not paused,
        may read what it would be sent, as may the caller, and there is a budget for it besides what was
        spent on those before. False too where that cannot be told."""
        chunk_ids = permit.shown(model)
        wanted = spent + self._most_tokens(permit.packed[model.name], model)
        try:
            async with self._database.transaction(access) as session:
                if model.name in {each.model for each in await language_models.pauses(session)}:
                    return False
                uses = await language_models.readable_passages(session, chunk_ids)
                if not all(each in uses and model.may_read(uses[each]) for each in chunk_ids):
                    return False
                return await token_budgets.raise_to(
                    session, access.tenant_id, permit.reservation_id, wanted, self.monthly_tokens
                )
        except (DatabaseUnavailable, TokenBudgetExhausted) as error:
            _log.info("further_model_not_asked", model=model.name, reason=error.problem)
            return False

    async def still_readable(self, access: Access, chunk_ids: Sequence[UUID]) -> frozenset[UUID]:
        """Those that the caller may read at this moment."""
        async with self._database.transaction(access) as session:
            return frozenset(await language_models.readable_passages(session, chunk_ids))

    async def settle(
        self, access: Access, permit: Permit, prompt_tokens: int, completion_tokens: int
    ) -> None:
        """Counts what was spent, also where whoever asked is gone: to its end, even when cancelled. Raises
        nothing."""
        self.gateway.give_place_back()
        metrics.model_tokens_total.labels("prompt").inc(prompt_tokens)
        metrics.model_tokens_total.labels("completion").inc(completion_tokens)
        spent = prompt_tokens + completion_tokens
        settling = asyncio.create_task(self._settle(access, permit.reservation_id, spent))
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)
        await asyncio.wait({settling}, timeout=_SETTLE_WAIT_SECONDS)

    async def _settle(self, access: Access, reservation_id: UUID, spent: int) -> None:
        """Where PostgreSQL does not answer again and again, the reservation holds until it expires."""
        reason = ""
        for attempt in range(_SETTLE_ATTEMPTS):
            await asyncio.sleep(attempt * _SETTLE_PAUSE_SECONDS)
            try:
                async with self._database.transaction(access) as session:
                    await token_budgets.settle(
                        session, access.tenant_id, reservation_id, spent, is_repeated=attempt > 0
                    )
                return
            except DatabaseUnavailable as error:
                reason = error.problem
            except MunimentError as error:
                reason = error.problem
                break
        _log.error("tokens_not_settled", reason=reason, tokens=spent)

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
                NumberedPassage(number, told_text(hit))
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
                return PAUSED_OR_NOT_ALLOWED if paused else NOT_ALLOWED
            wanted = max(self._most_tokens(packed[model.name], model) for model in allowed)
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
        chunk_ids = {number: hits[number - 1].chunk_id for number in numbers}
        not_paused = tuple(model.name for model in models)
        return Permit(allowed, packed, chunk_ids, reservation_id, not_paused)

    def _most_tokens(self, packed: Packed, model: Model) -> int:
        """That the model may read and write."""
        return _size(packed) + self.gateway.most_answer_tokens(model)

    def _packed(self, model: Model, question: str, passages: Sequence[NumberedPassage]) -> Packed:
        room = model.context_tokens - self.gateway.most_answer_tokens(model)
        return self.prompt.pack(question, passages, room)


def told_text(hit: SearchHit) -> str:
    """Of a passage, what a model is told."""
    return "\n".join((*hit.headings, hit.text))


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


def require_models(permits: Permits | None, generate: Generate) -> None:
    """Raises Unprocessable where a language model is wanted and none is there."""
    if generate is Generate.LLM and (permits is None or not permits.has_models):
        raise Unprocessable(
            "No language model is configured.",
            remedy="Ask with `generate` set to `auto` or `extractive`.",
        )

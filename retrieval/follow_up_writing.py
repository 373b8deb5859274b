"""Questions that go on from former ones, put by a language model so that they can be searched for by
themselves. Where none may be asked, or none says in time what can be used, `retrieval.follow_ups` has a rule.

A model is told questions alone, and only those whose answers were made of files that it may read: what an
answer was made of, the question behind it is about.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from db.audit import Act, record
from db.models import now
from db.queries import collections, conversations, language_models, token_budgets
from db.session import Access, Database
from muniment.contracts.language_models import ModelUse
from muniment.errors import DatabaseUnavailable, TooManyRequests
from muniment.telemetry import context
from retrieval.answer_permit import Permit, Permits
from retrieval.follow_ups import JOINING, POINTING_BACK, all_lexemes, content_lexemes
from retrieval.language_models.breaker import Breaker
from retrieval.language_models.completion import Failure
from retrieval.language_models.gateway import Generation
from retrieval.language_models.model import Model
from retrieval.language_models.prompting import AnswerPrompt, NumberedPassage, Packed
from retrieval.language_models.tokens import PER_MESSAGE, estimate

PROMPT = "follow-up-1"
MOST_TOLD_TOKENS = 4_000
MOST_CHARACTERS = 1_000
"""Of a question that a model put."""
_GRACE = timedelta(seconds=60)
_OF_MARKUP = frozenset("<>{}|`")


@dataclass(frozen=True)
class FormerQuestion:
    """And the message that answered it, behind which the course of the conversation goes on."""

    text: str
    answer_id: UUID


@dataclass(frozen=True)
class Written:
    """`by` is the model's name."""

    question: str
    by: str


class FollowUpWriter:
    """Holds nothing of any tenant. A model gets `seconds` for one question; with 0 none is asked. One that
    takes longer, or fails, three times in a row is asked to put none for half a minute: it may answer in
    time all the same, since that may take longer."""

    def __init__(self, database: Database, permits: Permits, seconds: float) -> None:
        self._database = database
        self._permits = permits
        self._seconds = seconds
        self._prompt = AnswerPrompt(PROMPT)
        self._breakers = {model.name: Breaker() for model in permits.gateway.models}

    async def write(
        self,
        access: Access,
        question: str,
        former: Sequence[FormerQuestion],
        collection: str | None,
    ) -> Written | None:
        """For a question that is asked of that collection, or of all. None where no model may be told it or
        any of the former (oldest first), or none said what can be used. Raises nothing of a model's."""
        if not former or not self._seconds or not self._permits.has_models:
            return None
        if len(question) > MOST_CHARACTERS:
            return None
        permit = await self._permit(access, question, former, collection)
        if permit is None:
            return None
        (model,) = permit.models
        packed = permit.packed[model.name]
        generation = self._permits.gateway.generation(
            permit.models, lambda _: packed.messages, _nobody_else, is_whole=True
        )
        try:
            said = await self._said(model, generation)
        finally:
            await self._permits.settle(
                access, permit, generation.prompt_tokens, generation.completion_tokens
            )
        told = [each.text for each in _numbered(former, packed.numbers)]
        written = usable(said, question, told)
        if written is None:
            return None
        return Written(written, model.name)

    async def _said(self, model: Model, generation: Generation) -> str:
        """Nothing where it fails, takes too long, or was just found to do so by others."""
        breaker = self._breakers[model.name]
        if not breaker.admit():
            return ""
        settle = breaker.abandoned
        try:
            async with asyncio.timeout(self._seconds), aclosing(generation.pieces()) as pieces:
                said = "".join([piece async for piece in pieces])
            settle = _settling(breaker, generation)
        except TimeoutError:
            settle = breaker.failed
            return ""
        finally:
            settle()
        return said

    async def _permit(
        self,
        access: Access,
        question: str,
        former: Sequence[FormerQuestion],
        collection: str | None,
    ) -> Permit | None:
        """With one of the process's places, and a reservation of the tenant's budget."""
        gateway = self._permits.gateway
        permit: Permit | None = None
        try:
            gateway.take_place()
        except TooManyRequests:
            return None
        try:
            permit = await self._granted(access, question, former, collection)
        except (TooManyRequests, DatabaseUnavailable):
            return None
        finally:
            if permit is None:
                gateway.give_place_back()
        return permit

    async def _granted(
        self,
        access: Access,
        question: str,
        former: Sequence[FormerQuestion],
        collection: str | None,
    ) -> Permit | None:
        gateway = self._permits.gateway
        async with self._database.transaction(access) as session:
            paused = {each.model for each in await language_models.pauses(session)}
            uses = await conversations.uses_of_sources(session, [each.answer_id for each in former])
            searched = await collections.uses_of_searched(session, collection)
            for model in gateway.models:
                if model.name in paused or self._is_left_out(model):
                    continue
                if not all(model.may_read(use) for use in searched):
                    continue
                packed = self._packed(model, question, former, uses)
                if not packed.numbers:
                    continue
                wanted = sum(PER_MESSAGE + estimate(each.content) for each in packed.messages)
                wanted += gateway.most_answer_tokens(model)
                reservation_id = await token_budgets.reserve(
                    session,
                    access.tenant_id,
                    wanted,
                    now() + timedelta(seconds=self._seconds) + _GRACE,
                    self._permits.monthly_tokens,
                )
                record(session, _act(access, model, wanted))
                return Permit((model,), {model.name: packed}, {}, reservation_id, ())
        return None

    def _is_left_out(self, model: Model) -> bool:
        return self._permits.gateway.is_resting(model) or self._breakers[model.name].is_open

    def _packed(
        self,
        model: Model,
        question: str,
        former: Sequence[FormerQuestion],
        uses: Mapping[UUID, Collection[ModelUse]],
    ) -> Packed:
        """With those that it may be told, the newest first, as many as fit."""
        room = model.context_tokens - self._permits.gateway.most_answer_tokens(model)
        passages = [
            NumberedPassage(number, each.text)
            for number, each in enumerate(reversed(former), start=1)
            if each.answer_id in uses and all(model.may_read(use) for use in uses[each.answer_id])
        ]
        return self._prompt.pack(question, passages, min(room, MOST_TOLD_TOKENS))


def _settling(breaker: Breaker, generation: Generation) -> Callable[[], None]:
    """A question that a model refuses says nothing about the model."""
    if not generation.failed:
        return breaker.succeeded
    if all(failure is Failure.UNSUITED for _, failure in generation.failed):
        return breaker.abandoned
    return breaker.failed


def usable(said: str, question: str, former: Sequence[str]) -> str | None:
    """What a model said, if it is the question with what it goes on from: one line of bounded length, with
    every word of the question but those that point back, and with no word that neither it nor a former
    question has, but words that only join. So nothing is asked that nobody asked, whatever a model was
    talked into. None also where it adds nothing: whether anything is missing then is the rule's to say."""
    line = said.strip()
    if not line or len(line) > MOST_CHARACTERS or not line.isprintable():
        return None
    if (_OF_MARKUP & set(line)) - set(question):
        return None
    own = all_lexemes(question)
    known = own.union(JOINING, *(all_lexemes(each) for each in former))
    used = all_lexemes(line)
    if not own - POINTING_BACK <= used <= known or content_lexemes(line) <= content_lexemes(
        question
    ):
        return None
    return line


def _numbered(former: Sequence[FormerQuestion], numbers: Collection[int]) -> list[FormerQuestion]:
    newest_first = enumerate(reversed(former), start=1)
    return [each for number, each in newest_first if number in numbers]


async def _nobody_else(_: Model, __: int) -> bool:
    """The rule is at hand: no second model is waited for."""
    return False


def _act(access: Access, model: Model, tokens: int) -> Act:
    """That questions were told to the model; not they."""
    return Act(
        action="query.model_asked",
        object_type="search",
        object_id=None,
        tenant_id=access.tenant_id,
        actor_id=access.principal_id,
        request_id=context.request_id(),
        payload={"models": [model.name], "files": [], "reserved_tokens": tokens},
    )

"""Answers to questions: by a language model where one may be asked, else of the documents' own sentences.

Each comes with citations that were checked. Where nothing that was found answers, that is said, and no
model is asked.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing
from functools import partial
from types import TracebackType
from typing import Self
from uuid import UUID

from db.session import Access, Database
from muniment.errors import DependencyUnavailable
from retrieval.answer_extractive import (
    MODEL,
    LikeliestSentences,
    Pages,
    SentenceChooser,
    cited,
    worded,
)
from retrieval.answer_model import ModelAnswer, StillReadable, without_text
from retrieval.answer_permit import Permit, Permits, require_models, told_text
from retrieval.citation_check import PageLines, PageText
from retrieval.injection import injection_signs
from retrieval.language_models.gateway import Generation
from retrieval.language_models.model import Model
from retrieval.request import Generate, QuestionRequest
from retrieval.response import (
    Answer,
    AnswerEvent,
    AnswerMeta,
    Citation,
    DoneEvent,
    SearchHit,
    SearchResponse,
    TokenCount,
    TokenEvent,
)
from retrieval.search import Searcher
from retrieval.timing import Timings
from retrieval.vector import EmbeddedQuestion

ALL_FAILED = "no language model answered: the answer is made of the documents' own sentences"
BROKE_OFF = "the language model's words broke off: the answer is not whole"
UNCHECKED = "a service did not answer: some citations and sources could not be checked"
WITHDRAWN = (
    "passages went out of reach while the language model answered: its words are not shown, and the answer"
    " is made of sentences of the others"
)
UNCITED = "the language model cited nothing: nothing of this answer is proven"


class Answerer:
    """Answers over what a search finds; holds nothing of any tenant. Without `permits` no model is asked."""

    def __init__(
        self, database: Database, searcher: Searcher, permits: Permits | None = None
    ) -> None:
        self._searcher = searcher
        self._chooser = SentenceChooser(database, searcher)
        self._permits = permits

    async def answer(
        self,
        access: Access,
        request: QuestionRequest,
        *,
        page_text: PageText | None = None,
        page_lines: PageLines | None = None,
    ) -> Answer:
        """The whole answer; where nothing answers NOTHING_FOUND without any citation.

        The readers prove the page of a quote and narrow its boxes; they run under the caller's own
        access. Raises what `prepare` raises.
        """
        pages = Pages(page_text, page_lines)
        prepared = await self.prepare(access, request, pages)
        async with prepared, aclosing(prepared.events(is_whole=True)) as events:
            async for event in events:
                if isinstance(event, DoneEvent):
                    return event.answer
        raise AssertionError("the last event is the answer")

    async def stream(
        self,
        access: Access,
        request: QuestionRequest,
        *,
        page_text: PageText | None = None,
        page_lines: PageLines | None = None,
    ) -> AsyncIterator[AnswerEvent]:
        """The answer as it is made, each claim followed by its citations; `done` is last.

        Raises what `prepare` raises, before the first event.
        """
        prepared = await self.prepare(access, request, Pages(page_text, page_lines))
        async with prepared, aclosing(prepared.events()) as events:
            async for event in events:
                yield event

    async def prepare(
        self,
        access: Access,
        request: QuestionRequest,
        pages: Pages,
        embedded: EmbeddedQuestion | None = None,
    ) -> "AnswerInTheMaking":
        """Everything before the first word: the search, and leave to ask a model. `embedded`: the question,
        where its vector is known.

        Raises Unprocessable for `generate: llm` without a model, TooManyRequests for it where the
        tenant's budget or this process's places are taken, and what Searcher.search raises.
        """
        permits = self._permits
        require_models(permits, request.generate)
        timings = Timings()
        with timings.measure("search"):
            found = _examined(await self._searcher.search(access, request.search(), embedded))
        may_ask = permits is not None and request.generate is not Generate.EXTRACTIVE
        with timings.measure("sentences"):
            likeliest = await self._chooser.likeliest(access, request.query, found.data)
            has_answer = may_ask and await likeliest.has_answer()
        found = found.model_copy(update={"reasons": (*found.reasons, *likeliest.reasons)})
        permit: Permit | str | None = None
        if permits is not None and has_answer:
            with timings.measure("permit"):
                permit = await permits.grant(
                    access,
                    request.query,
                    found.data,
                    is_required=request.generate is Generate.LLM,
                )
        return AnswerInTheMaking(access, found, likeliest, pages, timings, permits, permit)


class AnswerInTheMaking:
    """An answer that is about to be made, once. Leaving the context gives back what was set aside for one
    that was never begun. `has_failed_over`: the words are not of the language model that was asked first.
    `not_paused`: the models that were not when leave was given to ask them; None where none is asked."""

    def __init__(
        self,
        access: Access,
        found: SearchResponse,
        likeliest: LikeliestSentences,
        pages: Pages,
        timings: Timings,
        permits: Permits | None,
        permit: Permit | str | None,
    ) -> None:
        self._access = access
        self._found = found
        self._likeliest = likeliest
        self._pages = pages
        self._timings = timings
        self._permits = permits
        self._permit = permit if isinstance(permit, Permit) else None
        self.not_paused = permit.not_paused if isinstance(permit, Permit) else None
        self._reasons = [*found.reasons]
        self.has_failed_over = False
        if isinstance(permit, str):
            self._reasons.append(permit)

    @property
    def passages(self) -> tuple[SearchHit, ...]:
        """What was found, and may be read for the answer."""
        return self._found.data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        permit, self._permit = self._permit, None
        if self._permits is not None and permit is not None:
            await self._permits.settle(self._access, permit, 0, 0)

    async def events(self, *, is_whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        """Ends with `done`. With `is_whole` nothing of a model is passed on before its end, so that
        another may answer instead of one that breaks off.

        Closing it early cancels the model's work, and settles what it cost.
        """
        if self._permits is not None and self._permit is not None:
            answering = self._by_model(self._permits, self._permit, is_whole)
        else:
            answering = self._by_sentences(None)
        async with aclosing(answering) as events:
            async for event in events:
                yield event

    async def _by_model(
        self, permits: Permits, permit: Permit, is_whole: bool
    ) -> AsyncGenerator[AnswerEvent, None]:
        self._permit = None
        generation = permits.gateway.generation(
            permit.models,
            lambda model: permit.packed[model.name].messages,
            partial(permits.holds, self._access, permit),
            is_whole=is_whole,
        )
        hits = self._found.data
        still_readable = partial(permits.still_readable, self._access)
        answer = ModelAnswer(hits, self._pages, still_readable)
        said: list[str] = []
        held: list[AnswerEvent] = []
        try:
            with self._timings.measure("model"):
                words = answer.events(generation, lambda: permit.numbers(generation.model))
                async with aclosing(words) as events:
                    async for event in events:
                        if isinstance(event, TokenEvent):
                            said.append(event.text)
                        if is_whole:
                            held.append(event)
                        else:
                            yield event
        finally:
            await permits.settle(
                self._access, permit, generation.prompt_tokens, generation.completion_tokens
            )
        self.has_failed_over = bool(generation.failed)
        has_said = bool("".join(said).strip())
        shown = permit.shown(generation.model)
        if not has_said or (is_whole and not await self._are_readable(shown, still_readable)):
            self._reasons.append(WITHDRAWN if has_said else ALL_FAILED)
            await self._forget_withdrawn(still_readable)
            async for event in self._by_sentences(generation):
                yield event
            return
        for event in held:
            yield event
        if generation.broke_off:
            self._reasons.append(BROKE_OFF)
        if not answer.has_refused and not answer.citations:
            self._reasons.append(UNCITED)
        sources: tuple[SearchHit, ...] = ()
        if not answer.has_refused:
            sources = await self._readable_sources(answer, still_readable)
        if answer.is_unchecked:
            self._reasons.append(UNCHECKED)
        meta = self._meta(generation.model, generation, answer.unknown_marks)
        yield _done(said, answer.citations, sources, meta)

    async def _are_readable(self, chunk_ids: Sequence[UUID], still_readable: StillReadable) -> bool:
        """All of them, and for certain."""
        try:
            return set(chunk_ids) <= set(await still_readable(chunk_ids))
        except DependencyUnavailable:
            return False

    async def _forget_withdrawn(self, still_readable: StillReadable) -> None:
        """What was found when the model was asked, minutes ago perhaps, and the caller may no longer read;
        all of it where that cannot be told."""
        readable: Collection[UUID] = ()
        try:
            readable = await still_readable([hit.chunk_id for hit in self._found.data])
        except DependencyUnavailable:
            self._reasons.append(UNCHECKED)
        hits = tuple(hit for hit in self._found.data if hit.chunk_id in readable)
        self._found = self._found.model_copy(update={"data": hits})

    async def _readable_sources(
        self, answer: ModelAnswer, still_readable: StillReadable
    ) -> tuple[SearchHit, ...]:
        """The passages, without the text of those that the caller may no longer read, or of which that
        cannot be told."""
        hits = self._found.data
        readable: Collection[UUID] = ()
        try:
            readable = await still_readable([hit.chunk_id for hit in hits])
        except DependencyUnavailable:
            answer.is_unchecked = True
        return tuple(hit if hit.chunk_id in readable else without_text(hit) for hit in hits)

    async def _by_sentences(
        self, generation: Generation | None
    ) -> AsyncGenerator[AnswerEvent, None]:
        with self._timings.measure("sentences"):
            chosen = await self._likeliest.best({hit.chunk_id for hit in self._found.data})
        with self._timings.measure("citations"):
            citations = await cited(chosen, self._pages)
        said: list[str] = []
        for event in worded(citations):
            if isinstance(event, TokenEvent):
                said.append(event.text)
            yield event
        sources = self._found.data if citations else ()
        yield _done(said, citations, sources, self._meta(None, generation, 0))

    def _meta(
        self, model: Model | None, generation: Generation | None, unknown_marks: int
    ) -> AnswerMeta:
        """`model` is whose words these are; `generation` what was spent, on others too."""
        spent = TokenCount()
        if generation is not None:
            spent = TokenCount(
                prompt=generation.prompt_tokens, completion=generation.completion_tokens
            )
        prompt = self._permits.prompt.version if model and self._permits else None
        return AnswerMeta(
            model=model.model if model is not None else MODEL,
            provider=model.name if model is not None else None,
            prompt=prompt,
            mode=self._found.mode_used,
            cached=False,
            degraded=bool(self._reasons),
            reasons=tuple(self._reasons),
            truncated=self._found.truncated,
            unknown_marks=unknown_marks,
            timings_ms=self._timings.finish(),
            tokens=spent,
        )


def _done(
    said: Sequence[str],
    citations: Sequence[Citation],
    sources: tuple[SearchHit, ...],
    meta: AnswerMeta,
) -> DoneEvent:
    whole = Answer(answer="".join(said), citations=tuple(citations), sources=sources, meta=meta)
    return DoneEvent(answer=whole)


def _examined(found: SearchResponse) -> SearchResponse:
    """With the passages that seem to speak to a machine marked, and behind the others."""
    hits = [
        hit.model_copy(update={"injection_suspected": bool(injection_signs(told_text(hit)))})
        for hit in found.data
    ]
    hits.sort(key=lambda hit: hit.injection_suspected)
    return found.model_copy(update={"data": tuple(hits)})

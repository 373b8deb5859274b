"""An answer, told again where it was given before."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter
from typing import Literal, Protocol

from db.session import Access
from retrieval.answer import Answerer, AnswerInTheMaking
from retrieval.answer_extractive import Pages
from retrieval.cache.kept import KeptAnswer, is_answer_kept, with_look_up, with_step
from retrieval.cache.responses import Place, ResponseCache
from retrieval.request import QuestionRequest
from retrieval.response import (
    Answer,
    AnswerEvent,
    CitationEvent,
    DoneEvent,
    TokenCount,
    TokenEvent,
)


class PreparedAnswer(Protocol):
    """An answer that is about to be told, once."""

    def events(self, *, is_whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        """Ends with `done`. With `is_whole` nothing of it is passed on before it is whole."""
        ...

    async def close(self) -> None:
        """Gives back what was set aside for one that was never begun."""
        ...


async def prepare_cached(
    cache: ResponseCache,
    answerer: Answerer,
    access: Access,
    request: QuestionRequest,
    pages: Pages,
) -> PreparedAnswer:
    """Raises what Answerer.prepare raises."""
    began = perf_counter()
    looked = await cache.find_answer(access, request)
    milliseconds = (perf_counter() - began) * 1000
    if looked.kept is not None:
        return RepeatedAnswer(looked.kept, milliseconds, looked.distance)
    prepared = await answerer.prepare(access, request, pages, looked.embedded)
    if looked.place is None:
        return prepared
    return RememberedAnswer(cache, access, looked.place, prepared, milliseconds)


class RepeatedAnswer:
    """What was kept, as it came when it was made. `distance`: of another question that it answered."""

    def __init__(
        self, kept: KeptAnswer, milliseconds: float, distance: float | None = None
    ) -> None:
        self._kept = kept
        self._milliseconds = milliseconds
        self._distance = distance

    @property
    def cached(self) -> Literal[True, "semantic"]:
        """As in `meta`."""
        return True if self._distance is None else "semantic"

    async def events(self, *, is_whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        """Whole anyway."""
        for step in self._kept.steps:
            yield step
        meta = self._kept.answer.meta.model_copy(
            update={
                "cached": self.cached,
                "cached_distance": self._distance,
                "timings_ms": with_look_up({"total": 0.0}, self._milliseconds),
                "tokens": TokenCount(),
            }
        )
        yield DoneEvent(answer=self._kept.answer.model_copy(update={"meta": meta}))

    async def close(self) -> None:
        """Nothing was set aside."""


class RememberedAnswer:
    """One that is made, and kept behind its end if it may be."""

    def __init__(
        self,
        cache: ResponseCache,
        access: Access,
        place: Place,
        making: AnswerInTheMaking,
        milliseconds: float,
    ) -> None:
        self._cache = cache
        self._access = access
        self._place = place
        self._making = making
        self._milliseconds = milliseconds

    async def events(self, *, is_whole: bool = False) -> AsyncGenerator[AnswerEvent, None]:
        steps: list[TokenEvent | CitationEvent] = []
        async with aclosing(self._making.events(is_whole=is_whole)) as events:
            async for event in events:
                with_step(steps, event)
                yield self._ended(event, steps) if isinstance(event, DoneEvent) else event

    async def close(self) -> None:
        await self._making.close()

    def _ended(self, done: DoneEvent, steps: list[TokenEvent | CitationEvent]) -> DoneEvent:
        answer = done.answer
        if is_answer_kept(answer) and self._is_by_the_models_of_its_place():
            kept = KeptAnswer(answer=answer, steps=tuple(steps), models=self._place.models)
            self._cache.keep(self._access, self._place, kept)
        return DoneEvent(answer=_timed(answer, self._milliseconds))

    def _is_by_the_models_of_its_place(self) -> bool:
        """Not where one stood in for another, nor where one was paused, or no longer, since the look-up."""
        asked = self._making.not_paused
        return not self._making.has_failed_over and asked in (None, self._place.models)


def _timed(answer: Answer, milliseconds: float) -> Answer:
    timings = with_look_up(answer.meta.timings_ms, milliseconds)
    meta = answer.meta.model_copy(update={"timings_ms": timings})
    return answer.model_copy(update={"meta": meta})

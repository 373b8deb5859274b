"""An answer in a model's words, as it comes: without links, its citations checked one by one."""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import aclosing
from uuid import UUID

from muniment.errors import DependencyUnavailable
from retrieval.answer_claims import CitedPassage, last_sentence, numbers_of_all
from retrieval.answer_extractive import NOTHING_FOUND, Pages, cite
from retrieval.answer_text import AnswerText, Mark
from retrieval.language_models.gateway import Generation
from retrieval.response import AnswerEvent, Citation, CitationEvent, SearchHit, TokenEvent

StillReadable = Callable[[Sequence[UUID]], Awaitable[Collection[UUID]]]
"""Of these passages, those that the caller may read at this moment."""

_WORD = re.compile(r"\w")


class ModelAnswer:
    """Turns a generation into events. `numbers` are those of `hits` (from 1) that a model was shown: it
    cites nothing else.

    A citation is verified when its passage was shown, may still be read, says what the claim before its
    mark says, and its quote stands on its page. Marks of other numbers are taken away and counted.
    `is_unchecked`: some citations could not be looked at.
    """

    def __init__(
        self,
        hits: Sequence[SearchHit],
        pages: Pages,
        still_readable: StillReadable,
    ) -> None:
        self._hits = hits
        self._pages = pages
        self._still_readable = still_readable
        self._passages: dict[int, CitedPassage] = {}
        self._claim = ""
        self._marked: list[int] = []
        self._is_gap = False
        self.citations: list[Citation] = []
        self.unknown_marks = 0
        self.has_refused = False
        self.is_unchecked = False

    async def events(
        self, generation: Generation, numbers: Callable[[], Collection[int]]
    ) -> AsyncGenerator[AnswerEvent, None]:
        """Tokens, and citations behind the marks that they are for. None at all where no model said
        anything. `numbers`: what the model that speaks was shown."""
        words = AnswerText()
        async with aclosing(generation.pieces()) as pieces:
            async for piece in pieces:
                for part in words.feed(piece):
                    async for event in self._events(part, numbers()):
                        yield event
        for part in words.finish():
            async for event in self._events(part, numbers()):
                yield event
        async for event in self._cite():
            yield event
        if words.has_refused:
            self.has_refused = True
            yield TokenEvent(text=NOTHING_FOUND)

    async def _events(
        self, part: str | Mark, numbers: Collection[int]
    ) -> AsyncGenerator[AnswerEvent, None]:
        if isinstance(part, Mark):
            known = [number for number in part.numbers if number in numbers]
            self.unknown_marks += len(part.numbers) - len(known)
            self._marked += known
            self._is_gap = not known
            if known:
                yield TokenEvent(text="".join(f"[{number}]" for number in known))
            return
        if self._is_gap and not part[0].isspace() and not self._claim[-1:].isspace():
            # What stood around a mark that went does not become one word, or an address.
            part = f" {part}"
        self._is_gap = False
        if self._marked and _WORD.search(part):
            async for event in self._cite():
                yield event
        self._claim += part
        yield TokenEvent(text=part)

    async def _cite(self) -> AsyncGenerator[CitationEvent, None]:
        """Of the marks that stand together behind a claim."""
        marked = list(dict.fromkeys(self._marked))
        claim, self._claim, self._marked = last_sentence(self._claim), "", []
        if not marked:
            return
        try:
            citations = await self._all_checked(marked, claim)
        except DependencyUnavailable:
            # The words go on; what nothing proves now is shown without any of the passage.
            self.is_unchecked = True
            citations = [await _unreadable(each, self._passage(each).hit) for each in marked]
        for citation in citations:
            if citation not in self.citations:
                self.citations.append(citation)
                yield CitationEvent(citation=citation)

    async def _all_checked(self, marked: Sequence[int], claim: str) -> list[Citation]:
        passages = [self._passage(number) for number in marked]
        readable = await self._still_readable([each.hit.chunk_id for each in passages])
        numbers = numbers_of_all(passages)
        return [
            await self._checked(number, passage, claim, numbers)
            if passage.hit.chunk_id in readable
            else await _unreadable(number, passage.hit)
            for number, passage in zip(marked, passages, strict=True)
        ]

    async def _checked(
        self, number: int, passage: CitedPassage, claim: str, numbers: frozenset[str]
    ) -> Citation:
        support = passage.support(claim, numbers)
        citation = await cite(number, passage.hit, support.quote, self._pages)
        if support.is_given:
            return citation
        return citation.model_copy(update={"verified": False})

    def _passage(self, number: int) -> CitedPassage:
        if number not in self._passages:
            self._passages[number] = CitedPassage(self._hits[number - 1])
        return self._passages[number]


async def _unreadable(number: int, hit: SearchHit) -> Citation:
    return await cite(number, without_text(hit), "", Pages())


def without_text(hit: SearchHit) -> SearchHit:
    """What is left to say of a passage that the caller may no longer read."""
    return hit.model_copy(
        update={"text": "", "headings": (), "highlights": (), "boxes": (), "name": "", "pages": ()}
    )

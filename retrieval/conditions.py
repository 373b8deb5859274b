"""Of what a search by meaning found, the passages that fulfil the conditions of the query."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from uuid import UUID

from db.queries import search as queries
from db.queries.asked import AskedQuery, Condition
from db.queries.candidates import judged_passages
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow
from muniment.objects import SealedTexts
from retrieval.passage_texts import TEXT_OUT_OF_REACH, readable
from retrieval.sealed_lexemes import stemmed, written_words
from retrieval.vector import DEPTH, VectorResult, VectorsUnavailable


@dataclass(frozen=True)
class Kept:
    """`reasons`: what could not be looked at, and was left out."""

    found: VectorResult
    reasons: tuple[str, ...] = ()


class Conditions:
    """PostgreSQL judges what it holds in the clear; sealed texts are opened and judged here, by English
    lexemes. What cannot be opened is left out."""

    def __init__(self, database: Database, texts: SealedTexts) -> None:
        self._database = database
        self._texts = texts

    async def kept(
        self, access: Access, found: VectorResult, query: AskedQuery, wanted: queries.FileFilter
    ) -> Kept:
        """`truncated` where some were dropped: others, further from the question, were not looked at. Raises
        VectorsUnavailable when that takes too long."""
        if not query.conditions or not found.scores:
            return Kept(found)
        try:
            judged, sealed = await self._judged(access, found, query, wanted)
        except DatabaseTooSlow as error:
            raise VectorsUnavailable("the database took too long") from error
        opened = await readable(self._texts, access.tenant_id, sealed)
        texts = {
            chunk_id: (passage.text, passage.headings)
            for chunk_id, passage in opened.passages.items()
            if chunk_id not in opened.out_of_reach
        }
        # Other requests go on meanwhile.
        held = await asyncio.to_thread(fulfilling_texts, query.conditions, texts)
        fulfilling: Mapping[UUID, bool | None] = judged | held
        scores = {
            chunk_id: score for chunk_id, score in found.scores.items() if fulfilling.get(chunk_id)
        }
        dropped_some = len(scores) < len(found.scores) == DEPTH
        reasons = (TEXT_OUT_OF_REACH,) if opened.out_of_reach else ()
        return Kept(VectorResult(scores, found.truncated or dropped_some), reasons)

    async def _judged(
        self, access: Access, found: VectorResult, query: AskedQuery, wanted: queries.FileFilter
    ) -> tuple[dict[UUID, bool | None], dict[UUID, queries.FoundPassage]]:
        """And the sealed ones among them."""
        async with self._database.transaction(access) as session:
            await queries.prepare_for_search(session)
            judged = await judged_passages(session, [*found.scores], query.conditions)
            sealed_ids = [chunk_id for chunk_id, holds in judged.items() if holds is None]
            if not sealed_ids:
                return judged, {}
            return judged, await queries.passages(session, sealed_ids, "", wanted)


def fulfilling_texts(
    conditions: Sequence[Condition], texts: Mapping[UUID, tuple[str, Sequence[str]]]
) -> dict[UUID, bool]:
    """Of each text, given with its headings, whether it fulfils all of them. One without any letter or
    digit holds."""
    asked = [_AskedWords(each) for each in conditions]
    found = {}
    for chunk_id, (text, headings) in texts.items():
        words = _Words(" ".join((*headings, text)))
        of_headings = _Words(" ".join(headings))
        found[chunk_id] = all(
            each.holds(of_headings if each.condition.is_heading else words) for each in asked
        )
    return found


class _Words:
    """Of a text, as they are written and stemmed: once, however many conditions there are."""

    def __init__(self, text: str) -> None:
        self.written = written_words(text)

    @cached_property
    def stemmed(self) -> list[str]:
        return stemmed(self.written)


class _AskedWords:
    """A condition's words."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self._words = written_words(condition.content)
        if not condition.is_prefix:
            self._words = stemmed(self._words)

    def holds(self, words: _Words) -> bool:
        if not self._words:
            return True
        stands = self._begins_in(words) if self.condition.is_prefix else self._stands_in(words)
        return stands is not self.condition.is_excluded

    def _stands_in(self, words: _Words) -> bool:
        return any(
            word == self._words[0] and words.stemmed[at : at + len(self._words)] == self._words
            for at, word in enumerate(words.stemmed)
        )

    def _begins_in(self, words: _Words) -> bool:
        """All but the last are whole words: `well-k*` are two."""
        *whole, beginning = self._words
        return any(
            word.startswith(beginning) and words.written[max(end - len(whole), 0) : end] == whole
            for end, word in enumerate(words.written)
        )

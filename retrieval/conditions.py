"""Of what a search by meaning found, the passages that fulfil the conditions of the query."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from db.queries import search as queries
from db.queries.asked import AskedQuery, Condition
from db.queries.candidates import judged_passages
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow
from muniment.objects import SealedTexts
from retrieval.passage_texts import TEXT_OUT_OF_REACH, readable
from retrieval.sealed_lexemes import stemmed_words, written_words
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
        fulfilling: Mapping[UUID, bool | None] = judged | {
            chunk_id: chunk_id not in opened.out_of_reach
            and fulfils(query.conditions, passage.text, passage.headings)
            for chunk_id, passage in opened.passages.items()
        }
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


def fulfils(conditions: Sequence[Condition], text: str, headings: Sequence[str]) -> bool:
    """All of them. A condition without any letter or digit holds."""
    return all(_holds(condition, text, headings) for condition in conditions)


def _holds(condition: Condition, text: str, headings: Sequence[str]) -> bool:
    content = " ".join(headings if condition.is_heading else (*headings, text))
    if condition.is_prefix:
        beginning = condition.content.lower()
        stands = any(word.startswith(beginning) for word in written_words(content))
        return stands is not condition.is_excluded
    asked = stemmed_words(condition.content)
    if not asked:
        return True
    return _stands_in(asked, stemmed_words(content)) is not condition.is_excluded


def _stands_in(asked: Sequence[str], words: Sequence[str]) -> bool:
    return any(
        words[start : start + len(asked)] == asked for start in range(len(words) - len(asked) + 1)
    )

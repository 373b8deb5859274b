"""The passages of one search as the caller may read them now."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from db.queries import search as queries
from db.queries.asked import AskedQuery
from db.session import Access, Database
from muniment.objects import SealedTexts
from retrieval.passage_texts import readable
from retrieval.timing import Timings


@dataclass
class PassageReading:
    """Each passage is read once. The words of `marked` are marked in it; its conditions are not looked at.
    Those in `out_of_reach` are without their texts."""

    database: Database
    texts: SealedTexts
    access: Access
    marked: AskedQuery
    wanted: queries.FileFilter
    timings: Timings
    out_of_reach: set[UUID] = field(default_factory=set)
    _read: dict[UUID, queries.FoundPassage] = field(default_factory=dict)
    _asked: set[UUID] = field(default_factory=set)

    async def passages(self, chunk_ids: Sequence[UUID]) -> list[queries.FoundPassage]:
        """In the order given; without those that may not be shown any more."""
        missing = [chunk_id for chunk_id in chunk_ids if chunk_id not in self._asked]
        if missing:
            await self._look_up(missing)
        return [self._read[chunk_id] for chunk_id in chunk_ids if chunk_id in self._read]

    async def _look_up(self, chunk_ids: Sequence[UUID]) -> None:
        with self.timings.measure("passages"):
            async with self.database.transaction(self.access) as session:
                await queries.prepare_for_search(session)
                found = await queries.passages(
                    session, chunk_ids, self.marked.words, self.wanted, self.marked.prefixes
                )
        with self.timings.measure("unseal"):
            shown = await readable(self.texts, self.access.tenant_id, found)
        self._asked.update(chunk_ids)
        self._read.update(shown.passages)
        self.out_of_reach |= shown.out_of_reach

"""Clears away what index versions leave that are no longer searched: their graphs and their vectors."""

import logging
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.audit import Act, record
from db.giving_way import giving_way
from db.models import now
from db.queries import index_filling, index_versions
from db.queries.index_versions import FoundIndex
from db.session import Access
from muniment.contracts.reindex import IndexState, Outcome
from worker.clearing import Clearing

logger = logging.getLogger(__name__)

MOST_STATEMENTS = 200
"""A round deletes no more of one index version, a million vectors: others have their turn."""


class SpentIndexes(Clearing[FoundIndex]):
    """A superseded one whose time is over is retired first: from then on nobody goes back to it."""

    kind = "spent index version"

    async def _find(self, session: AsyncSession, after: FoundIndex | None) -> Sequence[FoundIndex]:
        return await index_versions.spent(session, after.index_version_id if after else None)

    def _id_of(self, spent: FoundIndex) -> UUID:
        return spent.index_version_id

    async def _clear(self, spent: FoundIndex) -> None:
        access, index = Access(spent.tenant_id), spent.index_version_id
        async with self._database.transaction(access) as session:

            async def retire() -> bool:
                return await _is_retired(session, index)

            is_retired = await index_versions.alone_with(session, spent.tenant_id, retire)
        if not is_retired:
            return
        async with self._database.transaction(access) as session:

            async def drop_graph() -> None:
                await index_filling.drop_graph(session, index)

            await giving_way(session, drop_graph)
        for _ in range(MOST_STATEMENTS):
            async with self._database.transaction(access) as session:
                if not await index_filling.delete_vectors(session, index):
                    await index_filling.mark_emptied(session, index)
                    logger.info("emptied an index version", extra={"index_version": str(index)})
                    return


async def _is_retired(session: AsyncSession, index_version_id: UUID) -> bool:
    """Retires it, unless somebody went back to it in the last moment."""
    row = await index_versions.lock_index(session, index_version_id)
    if row is None:
        return False
    is_over = row.retire_at is not None and row.retire_at <= now()
    if row.state == IndexState.SUPERSEDED and is_over:
        index_versions.retire(row, Outcome.REPLACED)
        record(session, Act("index.retired", "index_version", row.id, row.tenant_id))
    return row.state == IndexState.RETIRED

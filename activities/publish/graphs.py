"""A graph for an index version that becomes large, made before it is: so it is always made quickly."""

import logging
from uuid import UUID

from activities.stage import StageRunner
from db.queries.publish import IndexModel, active_index
from db.queries.vectors import has_graph, is_large, make_graph
from muniment.contracts.base import VersionReference
from muniment.errors import DatabaseUnavailable

GRAPH_FROM = 10_000
"""Vectors of an index version from which on a graph finds them. Fewer are measured each in some hundredths
of a second, and a graph over them is made in a few seconds, in which nobody publishes."""

logger = logging.getLogger(__name__)


async def prepare_index(
    runner: StageRunner, version: VersionReference, model: IndexModel, new_chunks: int
) -> None:
    """The tenant's active index version has a graph where these chunks make it a large one. Without one
    searches are right and slow: where PostgreSQL does not come to it now, the next publication does."""
    async with runner.transaction(version) as session:
        index = await active_index(session, version.tenant_id, model)
        if await has_graph(session, index) or not await is_large(
            session, index, max(GRAPH_FROM - new_chunks, 0)
        ):
            return
    try:
        await _make(runner, version, index)
    except DatabaseUnavailable as error:
        logger.warning("a large index has no graph yet", extra={"reason": error.detail})


async def _make(runner: StageRunner, version: VersionReference, index: UUID) -> None:
    async with runner.transaction(version) as session:
        if await make_graph(session, index):
            logger.info("a large index has its graph now")

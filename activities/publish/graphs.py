"""A graph for an index version that becomes large, made before it is: so it is always made quickly."""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities.stage import StageRunner
from db.queries.index_versions import IndexModel, entered_by
from db.queries.publish import lock_target
from db.queries.vectors import GRAPH_FROM, claim_graph, has_graph, is_large, make_graph
from muniment.contracts.base import VersionReference
from muniment.errors import DatabaseUnavailable

TOO_LARGE = 20_000
"""Vectors from which on a graph is not made here: it might not be ready when the statement's time is up, and
each publication would hold up all others in vain. `python -m db.vector_graphs` makes it."""

RETRIED_AFTER = timedelta(minutes=10)
"""Where it could not be made; until then searches are right and slow."""

logger = logging.getLogger(__name__)
Transaction = Callable[[], AbstractAsyncContextManager[AsyncSession]]


async def prepare_indexes(
    runner: StageRunner,
    version: VersionReference,
    made: Collection[IndexModel],
    known: Sequence[IndexModel],
    new_chunks: int,
) -> None:
    """Each index version that the publication enters has a graph where these chunks make it a large one.
    Where it cannot be made now, a publication some minutes later tries again. Raises as the publication
    does, where the job or the file has ended, and where vectors are lacking."""
    async with runner.transaction(version) as session:
        await runner.open(session, version)
        target = await lock_target(session, version)
        if target is None or not target.is_newest:
            return
        entered = await entered_by(session, version.tenant_id, made, known)
    for index in entered:
        await prepare_graph(partial(runner.transaction, version), index, new_chunks)


async def prepare_graph(transaction: Transaction, index: UUID, new_chunks: int) -> None:
    """The index version has a graph where so many more vectors make it a large one, if it can be made."""
    async with transaction() as session:
        if await has_graph(session, index) or not await is_large(
            session, index, max(GRAPH_FROM - new_chunks, 0)
        ):
            return
        if not await claim_graph(session, index, RETRIED_AFTER):
            return
        is_too_large = await is_large(session, index, TOO_LARGE)
    if is_too_large:
        _report_missing(index, "it is too large for a publication to make it")
        return
    try:
        await _make(transaction, index)
    except DatabaseUnavailable as error:
        _report_missing(index, error.detail)


async def _make(transaction: Transaction, index: UUID) -> None:
    async with transaction() as session:
        if await make_graph(session, index):
            logger.info("a large index has its graph now")
        elif not await has_graph(session, index):
            _report_missing(index, "the database has as many as it takes, or a broken one")


def _report_missing(index: UUID, reason: str) -> None:
    logger.error(
        "a large index has no graph: searches by meaning measure every passage; python -m"
        " db.vector_graphs makes it (docs/vectors.md)",
        extra={"index_version": str(index), "reason": reason},
    )

"""Turns at a tenant's index of words, which one rewrites at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.postings import PostingsBusy
from db.session import Access, Database
from muniment.errors import DatabaseTooSlow

PAUSE_SECONDS = 0.2
TRIES = 1_500
"""Whoever holds the tenant's lock gives it back within seconds."""
YIELD_SECONDS = 2 * PAUSE_SECONDS
"""Between the transactions of maintenance: long enough for all who wait to ask again."""

_Result = TypeVar("_Result")


async def in_turn(
    database: Database, access: Access, step: Callable[[AsyncSession], Awaitable[_Result]]
) -> _Result:
    """What `step` gives, in a transaction of its own, begun anew as long as it raises PostingsBusy. Who
    waits holds no connection, which others need meanwhile. DatabaseTooSlow after five minutes."""
    for _ in range(TRIES):
        with suppress(PostingsBusy):
            async with database.transaction(access) as session:
                return await step(session)
        await asyncio.sleep(PAUSE_SECONDS)
    raise DatabaseTooSlow("Others kept the index of words for too long.")

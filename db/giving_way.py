"""Acts that lock much, in an order that is not everybody's, and let others go first where they meet.

Who changes a file locks it, and then, by what it inserts, the principal who asked; who deletes a principal
locks the principal, and then all files that go to its successor. PostgreSQL would end one of the two
after a second (`deadlock_timeout`), perhaps the one that somebody waits for. So the rarer act does not
wait that long: it takes back what it did, lets go of its locks, and begins anew.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from psycopg.errors import DeadlockDetected, LockNotAvailable
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from muniment.errors import DatabaseUnavailable

ResultT = TypeVar("ResultT")

ATTEMPTS = 8
LOCK_SECONDS = 0.3
"""For each lock, unless an act's turns grow; well below PostgreSQL's `deadlock_timeout`, so that nobody else
is ended."""
PAUSE_SECONDS = (0.05, 0.4)
"""Between two attempts, somewhere in between: two such acts that cross do not cross again for ever."""


async def giving_way(
    session: AsyncSession,
    act: Callable[[], Awaitable[ResultT]],
    *,
    attempts: int = ATTEMPTS,
    growth: float = 1.0,
) -> ResultT:
    """What the act returns, in the session's transaction, of which it is the first to lock anything.

    Each turn lasts `growth` times as long as the one before: only for an act that takes one lock, and has
    none when it waits. Raises DatabaseUnavailable, with nothing done, where others hold what it
    needs all along.
    """
    for attempt in range(attempts):
        milliseconds = LOCK_SECONDS * growth**attempt * 1000
        try:
            async with session.begin_nested():
                await session.execute(
                    text("SELECT set_config('lock_timeout', :milliseconds, true)"),
                    {"milliseconds": f"{milliseconds:.0f}ms"},
                )
                result = await act()
                await session.flush()
            await session.execute(text("SET LOCAL lock_timeout = DEFAULT"))
            return result
        except DBAPIError as error:
            if not isinstance(error.orig, LockNotAvailable | DeadlockDetected):
                raise
        session.expire_all()  # what was read before the others went first
        await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311 - no secret
    raise DatabaseUnavailable(
        "others are changing what belongs to it", remedy="Try again in a moment."
    )

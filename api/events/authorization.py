"""Ends an event stream whose viewer lost its right to it: streams outlive keys and grants."""

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from db.models import now
from db.queries import access, identities, jobs, sign_ins
from db.session import Database
from muniment.errors import DatabaseUnavailable

RECHECK_SECONDS = 15.0
"""Heartbeats come as often, so that a quiet stream is looked at too."""

logger = logging.getLogger(__name__)
StillAllowed = Callable[[], Awaitable[bool]]


def still_allowed(database: Database, caller: Caller, job_id: UUID | None = None) -> StillAllowed:
    """Asks whether the caller's key, sign-in or issued token is valid and, of a job's stream, whether
    it may read the job."""

    async def ask() -> bool:
        try:
            async with database.transaction(caller.access) as session:
                if not await _is_still_known(session, caller):
                    return False
                return job_id is None or await jobs.get_job(session, job_id) is not None
        except DatabaseUnavailable:
            # Nothing new can be told either; the next turn asks again.
            return True

    return ask


async def _is_still_known(session: AsyncSession, caller: Caller) -> bool:
    if caller.key_id is not None:
        return await access.is_valid_key(session, caller.key_id)
    if caller.sign_in_id is not None:
        return await sign_ins.is_open(session, caller.sign_in_id)
    if caller.ends_at is None or caller.ends_at <= now() or caller.identity_hash is None:
        return False
    return await identities.may_come_in(session, caller.identity_hash, caller.principal_id)


async def while_allowed(
    stream: AsyncGenerator[bytes, None], is_allowed: StillAllowed
) -> AsyncGenerator[bytes, None]:
    """The stream, until its viewer may not see it any more."""
    asked_at = time.monotonic()
    async with aclosing(stream):
        async for piece in stream:
            if time.monotonic() - asked_at >= RECHECK_SECONDS:
                if not await is_allowed():
                    logger.info("a stream ended with its viewer's right to it")
                    return
                asked_at = time.monotonic()
            yield piece

"""How often a name, or an address, may be tried: the same for names that are nobody's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import Request

from api.client_address import site_of
from api.idempotency import hash_of
from api.sign_ins.limits import AttemptLimits
from db.models import new_id
from db.queries import sign_ins
from db.queries.sign_ins import AttemptLimit
from db.session import Database
from muniment.errors import MunimentError, TooManyAttempts


class Attempt:
    """What came of an attempt, said by whoever makes it: neither, where the password was not even
    compared."""

    def __init__(self) -> None:
        self.succeeded = False
        self.failed = False


@asynccontextmanager
async def attempting(
    database: Database, limits: AttemptLimits, request: Request, tenant: str, name: str
) -> AsyncIterator[Attempt]:
    """Counts an attempt at the name from the request's address, before it is made: so many at once are
    no more than one by one. Raises TooManyAttempts, saying when to come again: in moments, where
    attempts that may yet succeed are all that is in the way."""
    attempt_id = new_id()
    site = site_of(limits.proxies.client_address(request.scope))
    by_name = AttemptLimit(hash_of("name", tenant, name), limits.per_name)
    by_address = AttemptLimit(hash_of("address", site.hex()), limits.per_address)
    async with database.across_tenants() as session:
        waiting = await sign_ins.reserve_attempt(
            session, attempt_id, [by_name, by_address], limits.within
        )
    if waiting is not None:
        raise TooManyAttempts(
            "the name, or your address, was tried too often", wait_seconds=waiting.total_seconds()
        )
    attempt = Attempt()
    try:
        yield attempt
    except MunimentError:
        if attempt.failed:
            async with database.across_tenants() as session:
                await sign_ins.fail_attempt(session, attempt_id)
        else:
            await _forgive(database, attempt_id)
        raise
    if attempt.succeeded:
        await _forgive(database, attempt_id, by_name.subject)


async def _forgive(database: Database, attempt_id: UUID, name: bytes | None = None) -> None:
    async with database.across_tenants() as session:
        await sign_ins.forgive_attempts(session, attempt_id, name)

"""One request at a time makes a file of what has come, whichever process serves it: each joining reads
and writes all that came, and only one of them would count."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from uuid import UUID

from api.authentication import Caller
from api.services import Services
from db.models import new_id
from db.queries import resumable_uploads
from db.queries.resumable_uploads import JOINING_LEASE
from muniment.errors import Conflict, DatabaseUnavailable


@asynccontextmanager
async def joining(
    services: Services, caller: Caller, upload_ids: Collection[UUID]
) -> AsyncIterator[None]:
    """For the block nobody else joins any of these. Raises Conflict where somebody does. What a killed
    process held is free after some seconds."""
    joining_id = new_id()
    await _claim(services, caller, upload_ids, joining_id)
    renewal = asyncio.create_task(_keep(services, caller, upload_ids, joining_id))
    try:
        yield
    finally:
        renewal.cancel()
        await asyncio.shield(_release(services, caller, upload_ids, joining_id))


async def _claim(
    services: Services, caller: Caller, upload_ids: Collection[UUID], joining_id: UUID
) -> None:
    async with services.database.transaction(caller.access) as session:
        if not await resumable_uploads.claim_joining(
            session, upload_ids, caller.principal_id, joining_id
        ):
            raise Conflict(
                "another request is making a file of this upload",
                remedy="Ask with HEAD a little later: it names the file once it is made.",
            )


async def _keep(
    services: Services, caller: Caller, upload_ids: Collection[UUID], joining_id: UUID
) -> None:
    """Prolongs the turn until cancelled, or until another request has it: the commit decides then."""
    while True:
        await asyncio.sleep(JOINING_LEASE.total_seconds() / 3)
        try:
            await _claim(services, caller, upload_ids, joining_id)
        except DatabaseUnavailable:
            continue  # the next one may succeed
        except Conflict:
            return


async def _release(
    services: Services, caller: Caller, upload_ids: Collection[UUID], joining_id: UUID
) -> None:
    try:
        async with services.database.transaction(caller.access) as session:
            await resumable_uploads.end_joining(session, joining_id, upload_ids)
    except DatabaseUnavailable:
        # The turn runs out by itself; the error that ended the request is the one to report.
        return

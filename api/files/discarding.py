"""Blobs that were stored for a request which then came to nothing."""

import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from api.services import Services
from db.queries import blobs
from db.session import Access
from muniment.errors import MunimentError
from muniment.objects import SealedBlob

logger = logging.getLogger(__name__)


async def discard_blob(
    services: Services,
    access: Access,
    sealed: SealedBlob | None,
    left_behind: str,
    await_writer: Callable[[AsyncSession], Awaitable[object]] | None = None,
) -> None:
    """Destroys what was stored, unless the database knows it: a commit whose acknowledgement was
    lost is a commit. Never raises: a failure is logged as `left_behind`, and the error that ended the
    request is the one to report. `await_writer` waits for a commit that may still be under way, by
    the lock that it holds."""
    if sealed is None:
        return
    try:
        async with services.database.transaction(access) as session:
            if await_writer is not None:
                await await_writer(session)
            if await blobs.is_known(session, sealed.blob_id):
                return
        await services.blobs.destroy(access.tenant_id, sealed.blob_id)
    except MunimentError as error:
        logger.warning(left_behind, exc_info=error)

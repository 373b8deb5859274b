"""Where a file's content lies, and sending it to the other tier."""

import asyncio
import logging
from uuid import UUID

from api.authentication import Caller
from api.files.service import require_file
from api.services import Services
from api.tiers.schemas import FileTiers
from db.audit import record
from db.queries import tiers
from db.queries.tiers import TierCounts
from muniment.contracts.jobs import FileState
from muniment.contracts.move_tier import Tier
from muniment.errors import Conflict, Gone, OrchestratorUnavailable
from workflows.starting import hasten_moves

logger = logging.getLogger(__name__)


async def show(services: Services, caller: Caller, file_id: UUID) -> FileTiers:
    """Raises NotFound."""
    async with services.database.transaction(caller.access) as session:
        await require_file(session, file_id)
        counts = await tiers.count_tiers(session, file_id)
    return _view(file_id, counts)


async def move(services: Services, caller: Caller, file_id: UUID, wanted: Tier) -> FileTiers:
    """Raises NotFound, Forbidden, Gone, and Conflict where there is no cold store. What is committed
    is carried out by the tenant's next run at the latest."""
    async with services.database.transaction(caller.access) as session:
        detail = await require_file(session, file_id, "manage", for_update=True)
        if detail.file.state in (FileState.ERASING, FileState.ERASED):
            raise Gone("the file was erased")
        if not services.has_cold_store:
            raise Conflict(
                "there is no cold store here",
                remedy="Ask the operator to set one (MUNIMENT_COLD_STORE__BACKEND).",
            )
        moving = await tiers.request_moves(session, file_id, wanted)
        payload = {"tier": wanted.value, "blobs": moving}
        record(session, caller.act("file.tier_requested", "file", file_id, {**payload}))
        counts = await tiers.count_tiers(session, file_id)
    if moving:
        await _hasten(services, caller)
    return _view(file_id, counts)


async def _hasten(services: Services, caller: Caller) -> None:
    """Has the tenant's schedule run now; if that cannot be, its next run comes by itself."""
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await hasten_moves(services.temporal.client, caller.tenant_id)
    except (OrchestratorUnavailable, TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        logger.warning("a move waits for the next run", extra={"reason": type(error).__name__})


def _view(file_id: UUID, counts: TierCounts) -> FileTiers:
    return FileTiers(file_id=file_id, hot=counts.hot, cold=counts.cold, moving=counts.moving)

"""Where a file's content lies, and sending it to the other tier."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.service import require_file
from api.services import Services
from api.tiers import schemas
from db.audit import record
from db.models import File
from db.queries import tiers
from db.queries.tier_policies import TierRule, rule_of_file
from db.queries.tiers import TierCounts
from muniment.contracts.jobs import FileState
from muniment.contracts.move_tier import Tier
from muniment.errors import (
    Conflict,
    Gone,
    OrchestratorUnavailable,
)
from muniment.objects import Retrieval
from workflows.starting import hasten_moves

logger = logging.getLogger(__name__)

MOST_ASKED = 100
"""Versions whose state is asked of the cold store, one request each."""
ASKED_SECONDS = 10.0
"""After so long the state is not known."""


async def show(services: Services, caller: Caller, file_id: UUID) -> schemas.FileTiers:
    """Raises NotFound."""
    async with services.database.transaction(caller.access) as session:
        detail = await require_file(session, file_id)
        found = await _standing(session, services, detail.file)
    return await _view(services, caller, file_id, found)


async def move(
    services: Services, caller: Caller, file_id: UUID, wanted: Tier
) -> schemas.FileTiers:
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
        found = await _standing(session, services, detail.file)
    if moving:
        await _hasten(services, caller)
    return await _view(services, caller, file_id, found)


async def _hasten(services: Services, caller: Caller) -> None:
    """Has the tenant's schedule run now; if that cannot be, its next run comes by itself."""
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await hasten_moves(services.temporal.client, caller.tenant_id)
    except (OrchestratorUnavailable, TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        logger.warning("a move waits for the next run", extra={"reason": type(error).__name__})


@dataclass(frozen=True)
class _Standing:
    """What the database knows of a file's content."""

    counts: TierCounts
    cold_blobs: list[UUID]
    rule: TierRule | None


async def _standing(session: AsyncSession, services: Services, file: File) -> _Standing:
    return _Standing(
        await tiers.count_tiers(session, file.id),
        await tiers.cold_blobs(session, file.id, MOST_ASKED),
        await rule_of_file(session, file, services.cold_policy),
    )


async def _view(
    services: Services, caller: Caller, file_id: UUID, found: _Standing
) -> schemas.FileTiers:
    return schemas.FileTiers(
        file_id=file_id,
        hot=found.counts.hot,
        cold=found.counts.cold,
        moving=found.counts.moving,
        retrieval=await _retrievals(services, caller, found.cold_blobs),
        rule=rule_view(found.rule) if found.rule else None,
    )


def rule_view(rule: TierRule) -> schemas.TierRule:
    return schemas.TierRule(
        source=rule.source, after_days=rule.after_days, min_bytes=rule.min_bytes
    )


async def _retrievals(
    services: Services, caller: Caller, blob_ids: list[UUID]
) -> schemas.Retrievals | None:
    """As the store says now; None where it does not say so in time, or is asked too much already."""
    if not blob_ids:
        return schemas.Retrievals(archived=0, in_progress=0, retrieved=0)
    questions = services.tier_questions
    found = await questions.ask(services.blobs, caller.tenant_id, blob_ids, ASKED_SECONDS)
    if found is None:
        return None
    states = Counter(found)
    return schemas.Retrievals(
        archived=states[Retrieval.ARCHIVED],
        in_progress=states[Retrieval.IN_PROGRESS],
        retrieved=states[Retrieval.RETRIEVED],
    )

"""Temporal's face of the moving between tiers."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.pace import Pace
from db.audit import Act, record
from db.queries import tiers as moves
from db.queries.tiers import ColdPolicy, DueMove
from db.session import Access, Database
from muniment.contracts.move_tier import (
    MoveBatchInput,
    MoveBatchResult,
    MoveTierInput,
    PlanMovesResult,
    Tier,
    TierActivities,
)
from muniment.errors import MunimentError, ObjectMissing, SealBroken
from muniment.objects import BlobTiers
from muniment.objects.tiers import other
from muniment.telemetry.metrics import tier_moves_total

logger = logging.getLogger(__name__)

BATCH_BLOBS = 50
PLANNED_BLOBS = 10_000
"""The policy sends so many to the cold tier at a time; the rest have their turn in the next run."""


@dataclass(frozen=True)
class MovePolicy:
    """`cold`: what goes to the cold tier by itself, if anything does. `grace`: how long what a move left
    behind stays."""

    cold: ColdPolicy | None
    grace: timedelta
    bytes_per_second: int


class Tiers(TierActivities):
    """Without a cold store there is nothing to be done."""

    def __init__(self, database: Database, tiers: BlobTiers | None, policy: MovePolicy) -> None:
        self._database = database
        self._tiers = tiers
        self._policy = policy
        self._pace = Pace(policy.bytes_per_second)
        self._are_apart = False

    @activity.defn(name="plan_moves")
    async def plan_moves(self, request: MoveTierInput) -> PlanMovesResult:
        if self._tiers is None or self._policy.cold is None:
            return PlanMovesResult(planned=0)
        async with _attempt(), self._transaction(request.tenant_id) as session:
            planned = await moves.plan_moves(session, self._policy.cold, PLANNED_BLOBS)
        return PlanMovesResult(planned=planned)

    @activity.defn(name="move_batch")
    async def move_batch(self, request: MoveBatchInput) -> MoveBatchResult:
        if self._tiers is None:
            return MoveBatchResult()
        moved = deleted = 0
        async with _attempt(), heartbeats():
            if not self._are_apart:
                await self._tiers.require_apart()
                self._are_apart = True
            async with self._transaction(request.tenant_id) as session:
                due = await moves.due_moves(session, request.after, self._policy.grace, BATCH_BLOBS)
            for move in due:
                if move.is_destroyed:
                    await self._forget_destroyed(self._tiers, request.tenant_id, move)
                elif move.is_switched:
                    deleted += await self._delete_left_behind(self._tiers, request.tenant_id, move)
                else:
                    moved += await self._move(self._tiers, request.tenant_id, move)
        last = due[-1].blob_id if due else None
        return MoveBatchResult(last=last, moved=moved, deleted=deleted)

    async def _move(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Whether it lies at its destination from here on."""
        if move.tier is not move.destination and not await self._copy(tiers, tenant_id, move):
            return False
        async with self._transaction(tenant_id) as session:
            is_switched = await moves.switch(session, move)
            is_destroyed = not is_switched and await moves.is_destroyed(session, move.blob_id)
            if is_switched and move.tier is not move.destination:
                payload = {"tier": move.destination.value}
                act = Act("blob.moved", "blob", move.blob_id, tenant_id, payload={**payload})
                record(session, act)
        if is_destroyed:
            await self._forget_destroyed(tiers, tenant_id, move)
        if is_switched:
            tier_moves_total.labels(move.destination, "moved").inc()
        return is_switched

    async def _copy(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Whether the destination has it. What is damaged, or missing, stays where it is, for the
        verification of what is stored to tell; what lies at its destination alone, as after a restore
        of an older database, has arrived."""
        try:
            await tiers.copy(tenant_id, move.blob_id, move.destination, self._pace.take)
        except (ObjectMissing, SealBroken) as error:
            is_missing = isinstance(error, ObjectMissing)
            if is_missing and await tiers.is_in(
                tenant_id, move.blob_id, move.size, move.destination
            ):
                return True
            told = {"blob_id": str(move.blob_id), "reason": error.problem}
            logger.error("content was not moved to the other tier", extra=told)
            tier_moves_total.labels(move.destination, "failed").inc()
            return False
        return True

    async def _delete_left_behind(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Nothing is deleted but while the other copy is seen."""
        former = other(move.destination)
        async with self._transaction(tenant_id) as session:
            if not await moves.lock_left_behind(session, move, self._policy.grace):
                return False
            if not await tiers.is_in(tenant_id, move.blob_id, move.size, move.destination):
                told = {"blob_id": str(move.blob_id), "tier": move.destination}
                logger.error("content that was moved is no longer where it was put", extra=told)
                await moves.undo_switch(session, move, former)
                return False
            await tiers.delete(tenant_id, move.blob_id, former)
            await moves.forget_move(session, move.blob_id)
        return True

    async def _forget_destroyed(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> None:
        """Its key was destroyed while it was on its way: no copy of the ciphertext stays."""
        for tier in Tier:
            await tiers.delete(tenant_id, move.blob_id, tier)
        async with self._transaction(tenant_id) as session:
            await moves.forget_move(session, move.blob_id)

    @asynccontextmanager
    async def _transaction(self, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
        async with self._database.transaction(Access(tenant_id)) as session:
            yield session


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error

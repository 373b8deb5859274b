"""Temporal's face of the moving between tiers."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
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
from db.queries.tier_policies import ColdPolicy
from db.queries.tiers import DueMove
from db.session import Access, Database
from muniment.contracts.move_tier import (
    MoveBatchInput,
    MoveBatchResult,
    MoveTierInput,
    PlanMovesResult,
    Tier,
    TierActivities,
)
from muniment.errors import (
    ContentInRetrieval,
    MunimentError,
    ObjectMissing,
    ObjectStoreUnavailable,
    SealBroken,
    StorageFull,
)
from muniment.objects import BlobTiers
from muniment.objects.tiers import other
from muniment.telemetry.metrics import tier_moves_total

logger = logging.getLogger(__name__)

BATCH_BLOBS = 50
PLANNED_BLOBS = 10_000
"""The policy sends so many to the cold tier at a time; the rest have their turn in the next run."""


@dataclass(frozen=True)
class MovePolicy:
    """`cold`: what goes to the cold tier by itself where nobody set anything else, if anything does.
    `grace`: how long what a move left behind stays."""

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
        if self._tiers is None:
            return PlanMovesResult(planned=0)
        async with _attempt(), self._transaction(request.tenant_id) as session:
            planned = await moves.plan_moves(session, self._policy.cold, PLANNED_BLOBS)
        return PlanMovesResult(planned=planned)

    @activity.defn(name="move_batch")
    async def move_batch(self, request: MoveBatchInput) -> MoveBatchResult:
        if self._tiers is None:
            return MoveBatchResult()
        moved = deleted = 0
        full: set[Tier] = set()
        async with _attempt(), heartbeats():
            await self._require_stores(self._tiers, request.tenant_id)
            async with self._transaction(request.tenant_id) as session:
                due = await moves.due_moves(session, request.after, self._policy.grace, BATCH_BLOBS)
            for move in sorted(due, key=_turn):
                if move.destination in full and not (move.is_switched or move.is_destroyed):
                    continue
                try:
                    done = await self._carry_out(self._tiers, request.tenant_id, move)
                    moved, deleted = moved + done.moved, deleted + done.deleted
                except StorageFull as error:
                    _tell_failed(move, error)
                    full.add(move.destination)
                except ObjectMissing as error:
                    _tell_failed(move, error)  # erased or moved in the moment, or its copy is gone
                except ObjectStoreUnavailable as error:
                    # A store that answers has lost this object; one that does not has lost all.
                    await self._tiers.require_present()
                    _tell_failed(move, error)
        last = due[-1].blob_id if due else None
        return MoveBatchResult(last=last, moved=moved, deleted=deleted)

    async def _carry_out(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> MoveBatchResult:
        """One step of the move. What is archived is asked for: a later run of the tenant's schedule finds
        it where it can be read."""
        try:
            if move.is_destroyed:
                await self._forget_destroyed(tiers, tenant_id, move)
                return MoveBatchResult()
            if move.is_switched:
                is_deleted = await self._delete_left_behind(tiers, tenant_id, move)
                return MoveBatchResult(deleted=int(is_deleted))
            return MoveBatchResult(moved=int(await self._move(tiers, tenant_id, move)))
        except ContentInRetrieval:
            await tiers.retrieve(tenant_id, move.blob_id)
            tier_moves_total.labels(move.destination, "waiting").inc()
            return MoveBatchResult()

    async def _require_stores(self, tiers: BlobTiers, tenant_id: UUID) -> None:
        """Raises ConfigurationError where both are one place, and ObjectStoreUnavailable where one is not
        there, or something else is in its place."""
        if not self._are_apart:
            await tiers.require_apart()
            self._are_apart = True
        if not await tiers.are_marked():
            async with self._transaction(tenant_id) as session:
                holds_cold = await moves.holds_cold(session)
            await tiers.mark(may_be_new=not holds_cold)
        await tiers.require_present()

    async def _move(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Whether it lies at its destination from here on. Where the row says that it lies there, that is
        looked at: an older database was restored, or the copy is gone."""
        is_there = move.tier is move.destination and await tiers.is_in(
            tenant_id, move.blob_id, move.size, move.destination
        )
        if not is_there and not await self._copy(tiers, tenant_id, move):
            return False
        async with self._transaction(tenant_id) as session:
            is_switched = await moves.switch(session, move)
            is_destroyed = not is_switched and await moves.is_destroyed(session, move.blob_id)
            if is_switched and not is_there:
                record(session, _act("blob.moved", tenant_id, move, move.destination))
        if is_destroyed:
            await self._forget_destroyed(tiers, tenant_id, move)
        if is_switched:
            tier_moves_total.labels(move.destination, "moved").inc()
        return is_switched

    async def _copy(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Whether the destination has it. What is missing stays where it is, for the verification of
        what is stored to tell; what lies at its destination alone, as after a restore of an older
        database, has arrived."""
        try:
            await tiers.copy(tenant_id, move.blob_id, move.destination, self._pace.take)
        except ObjectMissing as error:
            if await tiers.is_in(tenant_id, move.blob_id, move.size, move.destination):
                return True
            _tell_failed(move, error)
            return False
        except ContentInRetrieval:
            # Turned around before the copy was deleted that the move into the archive had left behind.
            if move.destination is Tier.HOT and await self._is_sound_in_hot(tiers, tenant_id, move):
                return True
            raise
        except SealBroken as error:
            _tell_failed(move, error)
            await self._discard_broken(tiers, tenant_id, move)
            return False
        return True

    async def _delete_left_behind(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Nothing is deleted but while the other copy is seen, in the store itself, and was read again
        and found to be the same. The copy in the cold store goes into its archive before that: a store
        that cannot archive it, or loses it at that, has the former copy beside it."""
        former = other(move.destination)
        if not await self._is_compared(tiers, tenant_id, move):
            return False
        if move.destination is Tier.COLD:
            with suppress(ObjectMissing):  # of which, is looked at under the lock
                await tiers.archive(tenant_id, move.blob_id)
        async with self._transaction(tenant_id) as session:
            if not await moves.lock_left_behind(session, move, self._policy.grace):
                return False  # turned around meanwhile
            is_destroyed = await moves.is_destroyed(session, move.blob_id)
            if not is_destroyed:
                is_there = await tiers.is_in(tenant_id, move.blob_id, move.size, move.destination)
                await tiers.require_mark(move.destination)
                if not is_there:
                    told = {"blob_id": str(move.blob_id), "tier": move.destination}
                    logger.error("content that was moved is no longer where it was put", extra=told)
                    await moves.undo_switch(session, move, former)
                    record(session, _act("blob.move_undone", tenant_id, move, former))
                    return False
                await tiers.delete(tenant_id, move.blob_id, former)
                await moves.forget_move(session, move.blob_id)
        if is_destroyed:
            # Copying within the archive may have brought back what the erasure had deleted.
            await self._forget_destroyed(tiers, tenant_id, move)
        return not is_destroyed

    async def _is_compared(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Whether the copy at the destination was read and is sound. What lies in the archive was compared
        before it went there, and nobody writes over it; the copy that came out of it opens by itself."""
        try:
            if await tiers.are_same(tenant_id, move.blob_id, self._pace.take):
                return True
        except ObjectMissing:
            return True  # of which, is looked at under the lock
        except ContentInRetrieval:
            if move.destination is Tier.COLD:
                return True
            if await self._is_sound_in_hot(tiers, tenant_id, move):
                return True
            await tiers.retrieve(tenant_id, move.blob_id)
        _tell_failed(move, SealBroken("what lies in the two tiers is not the same"))
        await self._discard_broken(tiers, tenant_id, move)
        return False

    async def _is_sound_in_hot(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> bool:
        """Whether the hot tier's copy opens to what was stored, while the cold tier's cannot be read."""
        size, sha256 = move.size, move.sha256
        sound = await tiers.sound_in(tenant_id, move.blob_id, size, sha256, self._pace.take)
        return sound == [Tier.HOT]

    async def _discard_broken(self, tiers: BlobTiers, tenant_id: UUID, move: DueMove) -> None:
        """Of two copies that differ, deletes the one that does not open, where the other does: the next
        run goes on from that. Where neither opens, or none can be told from the other, both stay."""
        sound = await tiers.sound_in(
            tenant_id, move.blob_id, move.size, move.sha256, self._pace.take
        )
        if len(sound) != 1:
            return
        broken = other(sound[0])
        async with self._transaction(tenant_id) as session:
            if not await moves.lock_live(session, move):
                return
            await tiers.require_mark(sound[0])
            if not await tiers.is_in(tenant_id, move.blob_id, move.size, sound[0]):
                return
            await tiers.delete(tenant_id, move.blob_id, broken)
            await moves.undo_switch(session, move, sound[0])
            record(session, _act("blob.copy_discarded", tenant_id, move, broken))

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


def _turn(move: DueMove) -> int:
    """What frees space first, then what somebody waits for."""
    if move.is_destroyed or move.is_switched:
        return 0
    return 1 if move.destination is Tier.HOT else 2


def _act(action: str, tenant_id: UUID, move: DueMove, tier: Tier) -> Act:
    return Act(action, "blob", move.blob_id, tenant_id, payload={"tier": tier.value})


def _tell_failed(move: DueMove, error: MunimentError) -> None:
    told = {"blob_id": str(move.blob_id), "reason": error.problem}
    logger.error("content was not moved to the other tier", extra=told)
    tier_moves_total.labels(move.destination, "failed").inc()

"""A blob as it lies in the store now, against what was stored."""

import asyncio
import hashlib
from collections.abc import Iterable
from contextlib import aclosing
from uuid import UUID

from activities.pace import Pace
from db.queries.integrity import DueBlob
from muniment.contracts.move_tier import Tier
from muniment.contracts.verify_integrity import FaultKind
from muniment.errors import (
    ContentInRetrieval,
    KeyDestroyed,
    ObjectMissing,
    ObjectStoreUnavailable,
    SealBroken,
)
from muniment.objects import BlobStore, BlobTiers

ATTEMPTS = 2
"""A store that answers and fails at the same place twice has lost it, as a disk loses a sector. One that
is read for hours may be broken off as often as lines break: reading goes on where it was."""
MISSING = frozenset({FaultKind.OBJECT_MISSING, FaultKind.KEY_MISSING})


class Examiner:
    def __init__(self, blobs: BlobStore, pace: Pace, tiers: BlobTiers | None) -> None:
        self._blobs = blobs
        self._pace = pace
        self._tiers = tiers

    async def examine(self, tenant_id: UUID, blob: DueBlob) -> FaultKind | None:
        """What is wrong with it, if anything is. Of a blob that is erased meanwhile the key is
        missing. Raises ObjectStoreUnavailable when it is the store that is away."""
        reading, failures = _Reading(), 0
        while failures < ATTEMPTS:
            reached = reading.reached
            try:
                return await self._compared_or_archived(tenant_id, blob, reading)
            except SealBroken:
                return FaultKind.SEAL_BROKEN
            except ObjectMissing:
                return FaultKind.OBJECT_MISSING
            except KeyDestroyed:
                return FaultKind.KEY_MISSING
            except ObjectStoreUnavailable:
                failures = failures + 1 if reading.reached == reached else 1
                await self._blobs.probe()
                if self._tiers is not None:
                    await self._tiers.probe_cold()
        return FaultKind.UNREADABLE

    async def _compared_or_archived(
        self, tenant_id: UUID, blob: DueBlob, reading: "_Reading"
    ) -> FaultKind | None:
        """What lies in an archive is not brought out of it to be looked at: its key is there, and it is as
        long as it was. Raises ObjectMissing where it was erased in the moment."""
        try:
            return await self._compared(tenant_id, blob, reading)
        except ContentInRetrieval:
            if self._tiers is None:
                return None
            for tier in (Tier.COLD, Tier.HOT):  # it may come back in the moment
                if await self._tiers.is_in(tenant_id, blob.id, blob.size, tier):
                    return None
            await self._blobs.retrieval(tenant_id, blob.id)
            return FaultKind.SEAL_BROKEN

    async def is_cold_away(self) -> bool:
        """Whether it is the cold tier alone that does not answer. Raises ObjectStoreUnavailable where
        the others do not."""
        await self._blobs.probe()
        try:
            if self._tiers is not None:
                await self._tiers.probe_cold()
        except ObjectStoreUnavailable:
            return True
        return False

    async def holds_none(self, tenant_id: UUID, blob_ids: Iterable[UUID]) -> bool:
        """Whether nothing of any of these blobs is there. Raises ObjectStoreUnavailable."""
        for blob_id in blob_ids:
            if await self._blobs.holds(tenant_id, blob_id):
                return False
        return True

    async def _compared(
        self, tenant_id: UUID, blob: DueBlob, reading: "_Reading"
    ) -> FaultKind | None:
        pieces = self._blobs.reread(tenant_id, blob.id, blob.size, reading.reached)
        async with aclosing(pieces):
            async for piece in pieces:
                await asyncio.to_thread(reading.digest.update, piece)
                reading.reached += len(piece)
                await self._pace.take(len(piece))
        return None if reading.digest.digest() == blob.sha256 else FaultKind.CONTENT_DIFFERS


class _Reading:
    """How far a blob was read, and the hash of all until there."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.reached = 0

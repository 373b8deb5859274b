"""A blob as it lies in the store now, against what was stored."""

import asyncio
import hashlib
from contextlib import aclosing
from uuid import UUID

from db.queries.integrity import DueBlob
from muniment.contracts.verify_integrity import FaultKind
from muniment.errors import KeyDestroyed, ObjectMissing, ObjectStoreUnavailable, SealBroken
from muniment.objects import BlobStore

ATTEMPTS = 2
"""A store that answers and fails on the same object twice has lost it, as a disk loses a sector."""


class Pace:
    """So many bytes a second for all who share it, in one event loop."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Returns once those bytes are within the pace."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + count / self._bytes_per_second
        await asyncio.sleep(self._free_at - now)


class Examiner:
    def __init__(self, blobs: BlobStore, pace: Pace) -> None:
        self._blobs = blobs
        self._pace = pace

    async def examine(self, tenant_id: UUID, blob: DueBlob) -> FaultKind | None:
        """What is wrong with it, if anything is. Of a blob that is erased meanwhile the key is
        missing. Raises ObjectStoreUnavailable when it is the store that is away."""
        for _ in range(ATTEMPTS):
            try:
                return await self._compared(tenant_id, blob)
            except SealBroken:
                return FaultKind.SEAL_BROKEN
            except ObjectMissing:
                return FaultKind.OBJECT_MISSING
            except KeyDestroyed:
                return FaultKind.KEY_MISSING
            except ObjectStoreUnavailable:
                await self._blobs.probe()
        return FaultKind.UNREADABLE

    async def _compared(self, tenant_id: UUID, blob: DueBlob) -> FaultKind | None:
        digest = hashlib.sha256()
        pieces = self._blobs.reread(tenant_id, blob.id, blob.size)
        async with aclosing(pieces):
            async for piece in pieces:
                await asyncio.to_thread(digest.update, piece)
                await self._pace.take(len(piece))
        return None if digest.digest() == blob.sha256 else FaultKind.CONTENT_DIFFERS

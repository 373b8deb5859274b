"""Two object stores that are read as one: a hot one, into which everything is put, and a cold one, into
which sealed objects are moved as they are.

Readers look into both, hot first: so they need not know where an object lies, and find it while it is
on its way. Deleting deletes from both, so that nothing which is erased lives on in the other.
"""

import asyncio
import hashlib
import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Mapping,
)
from contextlib import aclosing, suppress
from datetime import datetime
from uuid import UUID, uuid4

from muniment.contracts.move_tier import Tier
from muniment.errors import (
    ConfigurationError,
    ContentInRetrieval,
    KeyDestroyed,
    ObjectMissing,
    ObjectStoreUnavailable,
    SealBroken,
    StorageFull,
)
from muniment.objects.blobs import BlobStore, object_key
from muniment.objects.interface import ObjectStore, StoredObject
from muniment.objects.marks import StoreMark
from muniment.sealing import PRODUCTION

logger = logging.getLogger(__name__)

Paced = Callable[[int], Awaitable[None]]
"""Returns once so many bytes more may be read."""


class TieredObjectStore:
    """`ObjectStore` on two others. The cold one is asked only for what the hot one has not, but for
    deleting and listing.

    What neither has is missing only where the cold one shows its mark: else it is away, and raises
    ObjectStoreUnavailable.
    """

    def __init__(
        self, hot: ObjectStore, cold: ObjectStore, cold_mark: StoreMark | None = None
    ) -> None:
        self._hot = hot
        self._cold = cold
        self._cold_mark = cold_mark

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        await self._hot.put(key, chunks)

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        # `ObjectMissing` comes at the first step, before anything was handed out.
        for store in self._in_turn():
            with suppress(ObjectMissing):
                async with aclosing(store.read(key, offset, length)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
        await self._require_cold()
        raise ObjectMissing(f"there is no object {key}")

    async def stat(self, key: str) -> StoredObject:
        for store in self._in_turn():
            with suppress(ObjectMissing):
                return await store.stat(key)
        await self._require_cold()
        raise ObjectMissing(f"there is no object {key}")

    def _in_turn(self) -> tuple[ObjectStore, ...]:
        """The hot one once more at last: an object may come back while the two are looked into."""
        return (self._hot, self._cold, self._hot)

    async def _require_cold(self) -> None:
        if self._cold_mark is not None:
            await self._cold_mark.require()

    async def delete(self, key: str) -> None:
        """From each, whether or not the other answers."""
        try:
            await self._hot.delete(key)
        finally:
            await self._cold.delete(key)

    async def archive(self, key: str) -> None:
        """What is to be cheap to keep lies in the cold store."""
        await self._cold.archive(key)

    async def retrieve(self, key: str) -> None:
        await self._cold.retrieve(key)

    async def probe(self) -> None:
        """Of the hot store alone: without the cold one all is served but what lies there."""
        await self._hot.probe()

    async def sweep_abandoned(self, older_than: datetime) -> int:
        """A cold store that is away keeps nobody from the hot one: it has its turn the next time."""
        hot = await self._hot.sweep_abandoned(older_than)
        try:
            return hot + await self._cold.sweep_abandoned(older_than)
        except ObjectStoreUnavailable as error:
            logger.warning("the cold store was not swept", extra={"reason": error.problem})
            return hot

    async def close(self) -> None:
        await self._hot.close()
        await self._cold.close()

    async def list(self, prefix: str = "") -> AsyncIterator[tuple[StoredObject, ...]]:
        """The hot store's objects by key, then the cold one's where it answers; one that is on its way
        comes twice."""
        async for page in self._hot.list(prefix):
            yield page
        try:
            async for page in self._cold.list(prefix):
                yield page
        except ObjectStoreUnavailable as error:
            logger.warning("the cold store was not listed", extra={"reason": error.problem})


class BlobTiers:
    """Moves blobs between the tiers, sealed: keys are asked for only to tell which of two copies that
    differ is the sound one, for which `opened` reads each tier by itself. What reads the cold tier raises
    ContentInRetrieval for what is archived there, and does not ask for it."""

    def __init__(
        self,
        hot: ObjectStore,
        cold: ObjectStore,
        marks: Mapping[Tier, StoreMark] | None = None,
        opened: Mapping[Tier, BlobStore] | None = None,
    ) -> None:
        self._stores = {Tier.HOT: hot, Tier.COLD: cold}
        self._marks = marks or {}
        self._opened = opened or {}

    async def copy(self, tenant_id: UUID, blob_id: UUID, destination: Tier, paced: Paced) -> None:
        """Copies the sealed object as it is, and reads the copy again: SealBroken, and no copy, where
        it is not the same to the byte. ObjectMissing where there is nothing to be copied.

        What is there already is never written over, since it may be the sound one: it is read, and
        SealBroken where it is another.
        """
        key = object_key(tenant_id, blob_id)
        source, target = self._stores[other(destination)], self._stores[destination]
        was_there = await _has(target, key)
        copied, stored = _Hashed(), _Hashed()
        if was_there:
            await copied.exhaust(source.read(key), paced)
        else:
            await target.put(key, copied.watch(source.read(key), paced))
        await stored.exhaust(target.read(key), paced)
        if stored.digest == copied.digest:
            return
        if not was_there:
            await target.delete(key)
        raise SealBroken(
            "what lies in the two tiers is not the same",
            remedy="Look at the stores' disks or servers; the object stays where it was.",
        )

    async def are_same(self, tenant_id: UUID, blob_id: UUID, paced: Paced) -> bool:
        """Whether both tiers have the same object, to the byte; ObjectMissing where one has none."""
        key = object_key(tenant_id, blob_id)
        for store in self._stores.values():
            await store.stat(key)
        digests = []
        for store in self._stores.values():
            hashed = _Hashed()
            await hashed.exhaust(store.read(key), paced)
            digests.append(hashed.digest)
        return digests[0] == digests[1]

    async def sound_in(
        self, tenant_id: UUID, blob_id: UUID, size: int, sha256: bytes, paced: Paced
    ) -> list[Tier]:
        """The tiers whose copy opens and is the content that was stored."""
        sound = []
        for tier, blobs in self._opened.items():
            hashed = _Hashed()
            with suppress(ObjectMissing, SealBroken, KeyDestroyed, ContentInRetrieval):
                await hashed.exhaust(blobs.reread(tenant_id, blob_id, size), paced)
                if hashed.digest == sha256:
                    sound.append(tier)
        return sound

    async def delete(self, tenant_id: UUID, blob_id: UUID, tier: Tier) -> None:
        """Deletes what that tier has of the blob."""
        await self._stores[tier].delete(object_key(tenant_id, blob_id))

    async def archive(self, tenant_id: UUID, blob_id: UUID) -> None:
        """Has the cold store keep the blob's object, which was compared there, where it costs least."""
        await self._stores[Tier.COLD].archive(object_key(tenant_id, blob_id))

    async def retrieve(self, tenant_id: UUID, blob_id: UUID) -> None:
        """Has what is archived made readable; who needs it comes back for it."""
        await self._stores[Tier.COLD].retrieve(object_key(tenant_id, blob_id))

    async def is_in(self, tenant_id: UUID, blob_id: UUID, size: int, tier: Tier) -> bool:
        """Whether that tier has the blob, in the length that plaintext of that size has when sealed."""
        try:
            stored = await self._stores[tier].stat(object_key(tenant_id, blob_id))
        except ObjectMissing:
            return False
        return stored.size_bytes == PRODUCTION.sealed_size(size)

    async def are_marked(self) -> bool:
        return all([await mark.is_made() for mark in self._marks.values()])

    async def mark(self, *, may_be_new: bool) -> None:
        """Marks both stores; `may_be_new`: nothing is known to lie in the cold one. Raises
        ObjectStoreUnavailable and ConfigurationError."""
        for tier, mark in self._marks.items():
            if not await mark.is_made():
                await mark.make(may_be_new=may_be_new or tier is Tier.HOT)

    async def require_mark(self, tier: Tier) -> None:
        """ObjectStoreUnavailable where what is at that tier's place is not that tier."""
        if tier in self._marks:
            await self._marks[tier].require()

    async def require_present(self) -> None:
        """Returns where both stores answer and are those that they were; one that is full answers."""
        for tier, store in self._stores.items():
            await self.require_mark(tier)
            with suppress(StorageFull):
                await store.probe()

    async def require_apart(self) -> None:
        """Raises ConfigurationError where both tiers are one place, by whatever names: what is deleted
        from one would be gone from the other."""
        key = f"probe/{uuid4()}"
        hot, cold = self._stores[Tier.HOT], self._stores[Tier.COLD]
        await hot.put(key, _nothing())
        try:
            if await _has(cold, key):
                raise ConfigurationError(
                    "the cold store is the object store itself",
                    remedy="Give MUNIMENT_COLD_STORE__… a folder or a bucket of its own.",
                )
        finally:
            await hot.delete(key)

    async def probe_cold(self) -> None:
        """Returns when the cold store can be written and read, and is the one that it was."""
        await self.require_mark(Tier.COLD)
        await self._stores[Tier.COLD].probe()


async def _nothing() -> AsyncGenerator[bytes, None]:
    yield b""


async def _has(store: ObjectStore, key: str) -> bool:
    try:
        await store.stat(key)
    except ObjectMissing:
        return False
    return True


class _Hashed:
    """The digest of what streamed by."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    async def watch(
        self, chunks: AsyncGenerator[bytes, None], paced: Paced
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(chunks):
            async for chunk in chunks:
                await paced(len(chunk))
                await asyncio.to_thread(self._hash.update, chunk)
                yield chunk

    async def exhaust(self, chunks: AsyncGenerator[bytes, None], paced: Paced) -> None:
        async with aclosing(self.watch(chunks, paced)) as watched:
            async for _ in watched:
                pass

    @property
    def digest(self) -> bytes:
        return self._hash.digest()


def other(tier: Tier) -> Tier:
    return Tier.HOT if tier is Tier.COLD else Tier.COLD

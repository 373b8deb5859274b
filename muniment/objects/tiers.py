"""Two object stores that are read as one: a hot one, into which everything is put, and a cold one, into
which sealed objects are moved as they are.

Readers look into both, hot first: so they need not know where an object lies, and find it while it is
on its way. Deleting deletes from both, so that nothing which is erased lives on in the other.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from datetime import datetime
from uuid import UUID, uuid4

from muniment.contracts.move_tier import Tier
from muniment.errors import ConfigurationError, ObjectMissing, SealBroken
from muniment.objects.blobs import object_key
from muniment.objects.interface import ObjectStore, StoredObject
from muniment.sealing import PRODUCTION

Paced = Callable[[int], Awaitable[None]]
"""Returns once so many bytes more may be read."""


class TieredObjectStore:
    """`ObjectStore` on two others. The cold one is asked only for what the hot one has not, but for
    deleting and listing."""

    def __init__(self, hot: ObjectStore, cold: ObjectStore) -> None:
        self._hot = hot
        self._cold = cold

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        await self._hot.put(key, chunks)

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        # `ObjectMissing` comes at the first step, before anything was handed out.
        try:
            async with aclosing(self._hot.read(key, offset, length)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        except ObjectMissing:
            pass
        async with aclosing(self._cold.read(key, offset, length)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def stat(self, key: str) -> StoredObject:
        try:
            return await self._hot.stat(key)
        except ObjectMissing:
            return await self._cold.stat(key)

    async def delete(self, key: str) -> None:
        await self._hot.delete(key)
        await self._cold.delete(key)

    async def probe(self) -> None:
        """Of the hot store alone: without the cold one all is served but what lies there."""
        await self._hot.probe()

    async def sweep_abandoned(self, older_than: datetime) -> int:
        hot = await self._hot.sweep_abandoned(older_than)
        return hot + await self._cold.sweep_abandoned(older_than)

    async def close(self) -> None:
        await self._hot.close()
        await self._cold.close()

    async def list(self, prefix: str = "") -> AsyncIterator[tuple[StoredObject, ...]]:
        """The hot store's objects by key, then the cold one's; one that is on its way comes twice."""
        for store in (self._hot, self._cold):
            async for page in store.list(prefix):
                yield page


class BlobTiers:
    """Moves blobs between the tiers, sealed: no key is asked for, and no plaintext is made."""

    def __init__(self, hot: ObjectStore, cold: ObjectStore) -> None:
        self._stores = {Tier.HOT: hot, Tier.COLD: cold}

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

    async def delete(self, tenant_id: UUID, blob_id: UUID, tier: Tier) -> None:
        """Deletes what that tier has of the blob."""
        await self._stores[tier].delete(object_key(tenant_id, blob_id))

    async def is_in(self, tenant_id: UUID, blob_id: UUID, size: int, tier: Tier) -> bool:
        """Whether that tier has the blob, in the length that plaintext of that size has when sealed."""
        try:
            stored = await self._stores[tier].stat(object_key(tenant_id, blob_id))
        except ObjectMissing:
            return False
        return stored.size_bytes == PRODUCTION.sealed_size(size)

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
        """Returns when the cold store can be written and read."""
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

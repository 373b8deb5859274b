"""Blobs: sealed content in an object store, each under a data key of its own.

    ciphertext    {tenant}/{aa}/{blob_id}   FLOE, associated data muniment/v1|tenant|blob_id
    wrapped key   {tenant}/{aa}/{blob_id}   in a store of its own, outside the database

`aa` are the last two hexadecimal digits of the blob's id. The wrapped key is the blob's life:
without it nobody can read the ciphertext, so destroying goes key first.
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar
from uuid import UUID

import uuid_utils.compat

from muniment.errors import (
    ContentInRetrieval,
    KeyDestroyed,
    KeyManagementUnavailable,
    ObjectMissing,
    ObjectStoreUnavailable,
    SealBroken,
)
from muniment.objects.interface import ObjectStore, Retrieval, StoredObject
from muniment.objects.pieces import ahead, once, slices
from muniment.sealing import PRODUCTION, ExpiringCache, KeyManagement, Opener, Sealer
from muniment.sealing.floe import HEADER_BYTES
from muniment.task_group import task_group

logger = logging.getLogger(__name__)
ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")

SLICE_BYTES = 16 * PRODUCTION.plaintext_bytes
"""How much is sealed in one go in a thread."""
OPENED_SEGMENTS = 32
"""How many are opened in one go: a download of 16 each spent a sixth of its time on trips to threads."""
OPENED_BYTES = OPENED_SEGMENTS * PRODUCTION.plaintext_bytes
INLINE_BYTES = PRODUCTION.plaintext_bytes
"""Up to so much is sealed on the event loop: 0.1 ms, as long as a trip to a thread takes."""
REMEMBERED_BLOBS = 1024
"""How many blobs' opened keys a process remembers, for at most five minutes each."""
REWRAPS = 3
"""So often a new blob's key is wrapped anew where one rotation after another overtakes it."""


@dataclass(frozen=True)
class SealedBlob:
    """What the database notes of a blob; `size` and `sha256` are the plaintext's."""

    blob_id: UUID
    size: int
    sha256: bytes
    dedup_tag: bytes


@dataclass(frozen=True)
class BlobPlace:
    """Where a stored object or key belongs."""

    tenant_id: UUID
    blob_id: UUID


@dataclass(frozen=True)
class _NewBlob:
    """A blob that is being stored, and its wrapped data key."""

    tenant_id: UUID
    blob_id: UUID
    wrapped: bytes

    @property
    def key(self) -> str:
        return object_key(self.tenant_id, self.blob_id)

    @property
    def context(self) -> bytes:
        return _associated_data(self.tenant_id, self.blob_id)


@dataclass(frozen=True)
class _Readable:
    """A blob whose key was unwrapped and whose header was checked."""

    opener: Opener
    size: int


class BlobStore:
    """Seals and stores, reads and destroys blobs. For one event loop.

    Unwrapped keys are remembered for at most five minutes: so long may a process that read or
    wrote a blob go on reading it after the *tenant's* key was destroyed elsewhere.
    """

    def __init__(
        self, objects: ObjectStore, keys: KeyManagement, wrapped_keys: ObjectStore
    ) -> None:
        self._objects = objects
        self._keys = keys
        self._wrapped_keys = wrapped_keys
        self._readable: ExpiringCache[tuple[UUID, UUID], _Readable] = ExpiringCache(
            REMEMBERED_BLOBS
        )

    async def put(self, tenant_id: UUID, chunks: AsyncIterable[bytes]) -> SealedBlob:
        """Seals the chunks, joined, as a new blob; both ciphertext and key are durable after it.

        What comes next is received while a piece is hashed and sealed, and the one before it stored.
        Memory use does not grow with the content. When anything fails or the caller is cancelled,
        nothing stays behind.
        """
        pieces = ahead(slices(chunks, SLICE_BYTES))
        return await self._put(tenant_id, pieces, self._ciphertext_first)

    async def put_bytes(self, tenant_id: UUID, content: bytes) -> SealedBlob:
        """`put` for content that is already in memory."""
        pieces = slices(once(content), SLICE_BYTES)
        return await self._put(tenant_id, pieces, self._both_at_once)

    async def _put(
        self,
        tenant_id: UUID,
        pieces: AsyncGenerator[bytes, None],
        store: Callable[["_NewBlob", AsyncGenerator[bytes, None]], Awaitable[None]],
    ) -> SealedBlob:
        blob_id = uuid_utils.compat.uuid7()
        context = _associated_data(tenant_id, blob_id)
        data_key = await self._keys.generate_data_key(tenant_id, context)
        sealing = _Sealing(Sealer(data_key.plaintext, context))
        try:
            blob = _NewBlob(tenant_id, blob_id, data_key.wrapped)
            await store(blob, sealing.sealed(pieces))
            await self._wrap_by_the_newest(blob)
            sha256 = sealing.digest.digest()
            tag = await self._keys.dedup_tag(tenant_id, sha256)
        except BaseException:
            # Shielded: a second cancellation must not keep the half-made blob alive.
            await asyncio.shield(self._discard_half_made(tenant_id, blob_id))
            raise
        # Whoever makes an artifact is often the next to read it.
        opener = Opener(data_key.plaintext, context, sealing.header)
        self._readable.put((tenant_id, blob_id), _Readable(opener, sealing.size))
        return SealedBlob(blob_id, sealing.size, sha256, tag)

    async def _ciphertext_first(
        self, blob: "_NewBlob", sealed: AsyncGenerator[bytes, None]
    ) -> None:
        """An upload may take hours: a process that dies meanwhile leaves no key behind."""
        async with aclosing(ahead(sealed)) as pieces:
            await self._objects.put(blob.key, pieces)
        await self._wrapped_keys.put(blob.key, once(blob.wrapped))

    async def _both_at_once(self, blob: "_NewBlob", sealed: AsyncGenerator[bytes, None]) -> None:
        """A key that is left behind within the moment that this takes is found by the sweep."""
        async with task_group() as writes:
            writes.create_task(self._objects.put(blob.key, sealed))
            writes.create_task(self._wrapped_keys.put(blob.key, once(blob.wrapped)))

    async def _wrap_by_the_newest(self, blob: "_NewBlob") -> None:
        """A rotation that began before the wrapped key lay in its store may not have seen it: it is
        wrapped anew, and looked at once more after that. Whatever rotation begins later sees it."""
        wrapped = blob.wrapped
        for _ in range(REWRAPS):
            try:
                renewed = await self._keys.rewrap(blob.tenant_id, wrapped, blob.context)
            except SealBroken:
                break
            if renewed == wrapped:
                return
            wrapped = renewed
            await self._wrapped_keys.put(blob.key, once(wrapped))
        raise KeyManagementUnavailable(
            "the tenant's key was retired while content was being sealed under it",
            remedy="Send the content again; raise MUNIMENT_KEYS__RETIRE_AFTER_HOURS.",
        )

    async def read(
        self,
        tenant_id: UUID,
        blob_id: UUID,
        size: int,
        offset: int = 0,
        length: int | None = None,
        *,
        retrieving: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        """The plaintext from `offset`, `length` bytes of it or all; only its segments are fetched.

        `size` is the plaintext's size as the database knows it: `SealBroken` when the stored
        object has another one, or does not authenticate. `KeyDestroyed` when the blob was
        destroyed, `ObjectMissing` when only its ciphertext is gone, `ContentInRetrieval` when it lies
        in an archive, out of which it is brought from now on if `retrieving`. Close the iterator
        (`contextlib.aclosing`) when leaving it early.
        """
        if offset < 0 or (length is not None and length < 0):
            raise ValueError("offset and length are not negative")
        readable = await self._open(tenant_id, blob_id, retrieving=retrieving)
        _require_size(readable, size)
        end = size if length is None else min(size, offset + length)
        if offset < end or size == 0:
            plaintext = self._read_segments(tenant_id, blob_id, readable, offset, end)
            if end - offset > OPENED_BYTES:
                plaintext = ahead(plaintext)
            async with aclosing(plaintext), self._asking_for_it(tenant_id, blob_id, retrieving):
                async for piece in plaintext:
                    yield piece

    async def reread(
        self, tenant_id: UUID, blob_id: UUID, size: int, offset: int = 0
    ) -> AsyncGenerator[bytes, None]:
        """The plaintext from `offset` on, out of what now lies in both stores; raises as `read` does, but
        asks for nothing that is archived: looking at it costs more than it tells.

        Nothing that is remembered of the blob is believed, nor is it remembered: whoever verifies
        all blobs in turn must neither miss a lost key nor push out the blobs that are in use.
        """
        readable = await self._open_afresh(tenant_id, blob_id)
        _require_size(readable, size)
        if 0 < size <= offset:
            return
        plaintext = self._read_segments(tenant_id, blob_id, readable, offset, size)
        async with aclosing(plaintext):
            async for piece in plaintext:
                yield piece

    async def holds(self, tenant_id: UUID, blob_id: UUID) -> bool:
        """Whether both stores have something of the blob; nothing of it is read."""
        key = object_key(tenant_id, blob_id)
        try:
            await self._objects.stat(key)
            await self._wrapped_keys.stat(key)
        except ObjectMissing:
            return False
        return True

    async def read_all(self, tenant_id: UUID, blob_id: UUID, size: int | None = None) -> bytes:
        """The whole plaintext at once, for content known to be small; raises as `read` does.

        Without `size` the length of the stored object is believed, which the last segment
        confirms.
        """
        if size is None:
            size = (await self._open(tenant_id, blob_id)).size
        return b"".join([piece async for piece in self.read(tenant_id, blob_id, size)])

    async def destroy(self, tenant_id: UUID, blob_id: UUID) -> None:
        """Destroys the wrapped key, then the ciphertext; idempotent, and final.

        A rotation that was just replacing the key looks for the ciphertext afterwards: whichever of
        the two comes last takes the key away.

        Other processes may still hold the unwrapped key for five minutes, without a ciphertext to
        use it on. Also discards a blob just written that a duplicate made needless.
        """
        await self.destroy_key(tenant_id, blob_id)
        await self._objects.delete(object_key(tenant_id, blob_id))
        await self._wrapped_keys.delete(object_key(tenant_id, blob_id))

    async def destroy_key(self, tenant_id: UUID, blob_id: UUID) -> None:
        """The wrapped key alone, wherever the ciphertext lies: nobody opens it from here on."""
        self._readable.forget((tenant_id, blob_id))
        await self._wrapped_keys.delete(object_key(tenant_id, blob_id))

    async def retrieval(self, tenant_id: UUID, blob_id: UUID) -> Retrieval:
        """Whether the blob can be read now, as its store tells; nothing is asked for. `ObjectMissing`."""
        return (await self._objects.stat(object_key(tenant_id, blob_id))).retrieval

    async def require_readable(self, tenant_id: UUID, blob_id: UUID) -> None:
        """Raises `ContentInRetrieval` for what is archived, and brings it out of the archive; `KeyDestroyed`
        where nobody could open it."""
        async with self._asking_for_it(tenant_id, blob_id):
            found = await self.retrieval(tenant_id, blob_id)
            if found in (Retrieval.ARCHIVED, Retrieval.IN_PROGRESS):
                await self._wrapped(tenant_id, blob_id)
                raise ContentInRetrieval("the content lies in an archive")

    async def has_ciphertext(self, tenant_id: UUID, blob_id: UUID) -> bool:
        """Whether the blob's ciphertext lies in its store: not yet, or no more, where it does not."""
        try:
            await self._objects.stat(object_key(tenant_id, blob_id))
        except ObjectMissing:
            return False
        return True

    async def wrapped_keys(
        self, tenant_id: UUID, shard: int
    ) -> AsyncGenerator[tuple[UUID, ...], None]:
        """The tenant's blobs that have a wrapped key and whose ids end in the byte `shard`: page by
        page, at most 1,000 each."""
        async for page in self._wrapped_keys.list(f"{tenant_id}/{shard:02x}/"):
            places = (_place(stored) for stored in page)
            yield tuple(place.blob_id for place in places if place is not None)

    async def renewed_key(self, tenant_id: UUID, blob_id: UUID) -> bytes | None:
        """The blob's data key wrapped by the tenant's newest key; None where it is, or where it was
        destroyed. `SealBroken` for one that does not unwrap."""
        try:
            wrapped = await self._wrapped(tenant_id, blob_id)
        except KeyDestroyed:
            return None
        context = _associated_data(tenant_id, blob_id)
        renewed = await self._keys.rewrap(tenant_id, wrapped, context)
        return None if renewed == wrapped else renewed

    async def keep_renewed_key(self, tenant_id: UUID, blob_id: UUID, renewed: bytes) -> bool:
        """Replaces the blob's wrapped key by the renewed one, unless it was destroyed meanwhile; whether
        it did. The ciphertext stays as it is. The caller looks afterwards whether the blob was
        destroyed in the very moment, and destroys it again."""
        key = object_key(tenant_id, blob_id)
        try:
            await self._wrapped_keys.stat(key)
        except ObjectMissing:
            return False
        await self._wrapped_keys.put(key, once(renewed))
        return True

    async def probe(self) -> None:
        """Returns when both stores answer; else raises `ObjectStoreUnavailable` or `KeyStorageFull`."""
        await self._objects.probe()
        await self._wrapped_keys.probe()

    async def sweep_abandoned(self, older_than: datetime) -> int:
        """Removes what uploads of dead processes left in either store; says how many things."""
        ciphertexts = await self._objects.sweep_abandoned(older_than)
        return ciphertexts + await self._wrapped_keys.sweep_abandoned(older_than)

    async def stored_before(self, moment: datetime) -> AsyncGenerator[frozenset[BlobPlace], None]:
        """Every blob of which either store holds something that was put there before the moment:
        page by page, at most 1,000 each; one that both hold may come twice."""
        for store in (self._objects, self._wrapped_keys):
            async for page in store.list():
                places = (_place(stored) for stored in page if stored.modified_at < moment)
                yield frozenset(place for place in places if place is not None)

    async def _discard_half_made(self, tenant_id: UUID, blob_id: UUID) -> None:
        try:
            await self.destroy(tenant_id, blob_id)
        except ObjectStoreUnavailable:
            # The error that ended the upload is the one to report.
            logger.warning("half-made blob left behind", extra={"blob_id": str(blob_id)})

    async def _open(self, tenant_id: UUID, blob_id: UUID, *, retrieving: bool = True) -> _Readable:
        remembered = self._readable.get((tenant_id, blob_id))
        if remembered is not None:
            return remembered
        async with self._asking_for_it(tenant_id, blob_id, retrieving):
            readable = await self._open_afresh(tenant_id, blob_id)
        self._readable.put((tenant_id, blob_id), readable)
        return readable

    @asynccontextmanager
    async def _asking_for_it(
        self, tenant_id: UUID, blob_id: UUID, retrieving: bool = True
    ) -> AsyncIterator[None]:
        """What turns out to be archived is brought out of the archive for whoever comes back; nothing is,
        where it was moved or erased in the moment."""
        try:
            yield
        except ContentInRetrieval:
            if retrieving:
                with suppress(ObjectMissing):
                    await self._objects.retrieve(object_key(tenant_id, blob_id))
            raise

    async def _open_afresh(self, tenant_id: UUID, blob_id: UUID) -> _Readable:
        context = _associated_data(tenant_id, blob_id)
        key = object_key(tenant_id, blob_id)
        try:
            async with task_group() as reads:
                wrapped = reads.create_task(self._wrapped(tenant_id, blob_id))
                stored = reads.create_task(self._objects.stat(key))
                header = reads.create_task(self._header(key))
        except (ObjectMissing, ContentInRetrieval):
            # Of a destroyed blob both are missing, or the key alone: it is the key that tells.
            await self._wrapped(tenant_id, blob_id)
            raise
        data_key = await self._keys.unwrap(tenant_id, wrapped.result(), context)
        opener = Opener(data_key, context, header.result())
        return _Readable(opener, PRODUCTION.plaintext_size(stored.result().size_bytes))

    async def _header(self, key: str) -> bytes:
        return b"".join([chunk async for chunk in self._objects.read(key, 0, HEADER_BYTES)])

    async def _wrapped(self, tenant_id: UUID, blob_id: UUID) -> bytes:
        key = object_key(tenant_id, blob_id)
        try:
            return b"".join([chunk async for chunk in self._wrapped_keys.read(key)])
        except ObjectMissing:
            raise KeyDestroyed(f"the key of blob {blob_id} was destroyed") from None

    async def _read_segments(
        self, tenant_id: UUID, blob_id: UUID, readable: _Readable, start: int, end: int
    ) -> AsyncGenerator[bytes, None]:
        """Plaintext from `start` to `end`, which lie within the blob; slice by slice."""
        segment_bytes = PRODUCTION.plaintext_bytes
        first = start // segment_bytes
        stop = max(first + 1, -(-end // segment_bytes))
        last = PRODUCTION.segment_count(readable.size) - 1
        from_byte = PRODUCTION.segment_offset(first)
        to_byte = min(PRODUCTION.segment_offset(stop), PRODUCTION.sealed_size(readable.size))
        sealed = self._objects.read(object_key(tenant_id, blob_id), from_byte, to_byte - from_byte)
        # Opened into and copied from: fresh memory for each slice would cost more than opening.
        scratch = bytearray(min(OPENED_BYTES, to_byte - from_byte))
        position = first
        try:
            async with (
                aclosing(sealed),
                aclosing(slices(sealed, OPENED_SEGMENTS * PRODUCTION.segment_bytes)) as pieces,
            ):
                async for piece in pieces:
                    shift = position * segment_bytes
                    wanted = slice(max(0, start - shift), end - shift)
                    if plaintext := await _off_loop(
                        _opened, piece, readable.opener, position, last, wanted, scratch
                    ):
                        yield plaintext
                    position += -(-len(piece) // PRODUCTION.segment_bytes)
        except (ObjectMissing, ContentInRetrieval):
            self._readable.forget((tenant_id, blob_id))
            await self._wrapped(tenant_id, blob_id)
            raise
        if position != stop:
            raise SealBroken("a sealed object ended before its last segment")


def _require_size(readable: _Readable, size: int) -> None:
    if readable.size != size:
        raise SealBroken("a sealed object is not as long as it was when it was stored")


def _opened(
    piece: bytes, opener: Opener, position: int, last: int, wanted: slice, scratch: bytearray
) -> bytes:
    """What is wanted of the plaintext of whole segments, the first of which has that position."""
    return bytes(opener.open_segments(piece, position, last, scratch)[wanted])


class _Sealing:
    """Hashes and seals one plaintext as it streams by."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer
        self.header = sealer.header
        self.digest = hashlib.sha256()
        self.size = 0

    async def sealed(self, pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The sealed object; a small one comes in a single piece."""
        ready = self._sealer.header
        async with aclosing(pieces):
            async for piece in pieces:
                ready += await _off_loop(self._absorb, piece)
                if len(ready) > HEADER_BYTES:
                    yield ready
                    ready = b""
        yield ready + self._sealer.finish()

    def _absorb(self, piece: bytes) -> bytes:
        self.digest.update(piece)
        self.size += len(piece)
        return self._sealer.seal(piece)


async def _off_loop(
    function: Callable[Concatenate[bytes, ArgumentsT], ResultT],
    piece: bytes,
    *arguments: ArgumentsT.args,
    **named: ArgumentsT.kwargs,
) -> ResultT:
    """Runs the function in a thread, unless the piece is too small to be worth the trip."""
    if len(piece) <= INLINE_BYTES:
        return function(piece, *arguments, **named)
    return await asyncio.to_thread(function, piece, *arguments, **named)


def _associated_data(tenant_id: UUID, blob_id: UUID) -> bytes:
    return f"muniment/v1|{tenant_id}|{blob_id}".encode()


def object_key(tenant_id: UUID, blob_id: UUID) -> str:
    """The same in both stores."""
    return f"{tenant_id}/{blob_id.hex[-2:]}/{blob_id}"


def _place(stored: StoredObject) -> BlobPlace | None:
    """Whose object this is; None for one that no blob store put there."""
    tenant, _, rest = stored.key.partition("/")
    try:
        place = BlobPlace(UUID(tenant), UUID(rest.rpartition("/")[2]))
    except ValueError:
        return None
    return place if stored.key == object_key(place.tenant_id, place.blob_id) else None

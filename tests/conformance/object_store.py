"""What every object store must do. Subclass it, give it a `store`, and say how to age leftovers."""

import asyncio
import hashlib
import os
import tracemalloc
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from muniment.errors import ObjectMissing
from muniment.objects import ObjectStore
from muniment.objects.interface import READ_CHUNK_BYTES

MEBIBYTE = 1024 * 1024
LARGE_BYTES = 20 * MEBIBYTE
"""Larger than two parts of a multipart upload."""


async def in_chunks(content: bytes, size: int = 300_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def content_of(
    store: ObjectStore, key: str, offset: int = 0, length: int | None = None
) -> bytes:
    return b"".join([chunk async for chunk in store.read(key, offset, length)])


async def keys_of(store: ObjectStore, prefix: str = "") -> list[str]:
    return [found.key async for page in store.list(prefix) for found in page]


class ObjectStoreConformance(ABC):
    knows_the_dead = False
    """Whether the store can tell that an upload's process is dead."""

    @abstractmethod
    def leftovers(self) -> list[str]:
        """What unfinished uploads have left in the store's own ground."""

    @abstractmethod
    async def abandon_upload(self, store: ObjectStore) -> None:
        """Leaves an unfinished upload behind, as a process does that is killed."""

    @pytest.mark.parametrize("size", [0, 1, 5_000, MEBIBYTE, LARGE_BYTES])
    async def test_what_was_put_is_read(self, store: ObjectStore, size: int) -> None:
        content = os.urandom(size)
        await store.put("objects/t/aa/one", in_chunks(content))
        assert await content_of(store, "objects/t/aa/one") == content
        stat = await store.stat("objects/t/aa/one")
        assert (stat.key, stat.size_bytes) == ("objects/t/aa/one", size)
        assert abs(datetime.now(UTC) - stat.modified_at) < timedelta(minutes=1)
        assert self.leftovers() == []

    @pytest.mark.parametrize(
        ("offset", "length"),
        [
            (0, 0),
            (0, 1),
            (7, 20),
            (99_999, 1),
            (99_990, 100),
            (100_000, 5),
            (200_000, None),
            (5, None),
        ],
    )
    async def test_a_range_is_that_slice(
        self, store: ObjectStore, offset: int, length: int | None
    ) -> None:
        content = os.urandom(100_000)
        await store.put("ranged", in_chunks(content))
        end = None if length is None else offset + length
        assert await content_of(store, "ranged", offset, length) == content[offset:end]

    async def test_putting_again_replaces_the_whole(self, store: ObjectStore) -> None:
        await store.put("key", in_chunks(b"a longer first content"))
        await store.put("key", in_chunks(b"second"))
        assert await content_of(store, "key") == b"second"

    async def test_what_is_not_there_is_missing(self, store: ObjectStore) -> None:
        for length in (None, 0, 5):
            with pytest.raises(ObjectMissing):
                await content_of(store, "objects/absent", 0, length)
        with pytest.raises(ObjectMissing):
            await store.stat("objects/absent")
        await store.put("objects/t/one", in_chunks(b"x"))
        with pytest.raises(ObjectMissing):
            await store.stat("objects/t")
        with pytest.raises(ObjectMissing):
            await content_of(store, "objects/t")

    async def test_deleting_is_final_and_may_be_repeated(self, store: ObjectStore) -> None:
        await store.put("a/b", in_chunks(b"x"))
        await store.delete("a/b")
        await store.delete("a/b")
        await store.delete("never/was")
        with pytest.raises(ObjectMissing):
            await content_of(store, "a/b")
        assert await keys_of(store) == []

    async def test_listing_is_by_key_and_prefix(self, store: ObjectStore) -> None:
        keys = ["a-b/one", "a/one", "a/two", "a/two.more/three", "ab/one", "b"]
        for key in reversed(keys):
            await store.put(key, in_chunks(key.encode()))
        assert await keys_of(store) == sorted(keys)
        assert await keys_of(store, "a/") == ["a/one", "a/two", "a/two.more/three"]
        assert await keys_of(store, "a") == sorted(keys)[:-1]
        assert await keys_of(store, "a/tw") == ["a/two", "a/two.more/three"]
        assert await keys_of(store, "absent/") == []

    async def test_listing_comes_in_bounded_pages(self, store: ObjectStore) -> None:
        keys = [f"n/{number:04}" for number in range(1_003)]
        for start in range(0, len(keys), 50):
            some = keys[start : start + 50]
            await asyncio.gather(*(store.put(key, in_chunks(b"x")) for key in some))
        pages = [[found.key for found in page] async for page in store.list("n/")]
        assert [len(page) for page in pages] == [1_000, 3]
        assert [key for page in pages for key in page] == keys

    @pytest.mark.parametrize("sent", [0, 400_000, LARGE_BYTES])
    async def test_an_upload_that_fails_leaves_nothing(self, store: ObjectStore, sent: int) -> None:
        async def breaking() -> AsyncIterator[bytes]:
            async for chunk in in_chunks(os.urandom(sent)):
                yield chunk
            raise ConnectionResetError("the uploader went away")

        await store.put("key", in_chunks(b"former"))
        with pytest.raises(ConnectionResetError):
            await store.put("key", breaking())
        with pytest.raises(ConnectionResetError):
            await store.put("other", breaking())
        assert await content_of(store, "key") == b"former"
        assert await keys_of(store) == ["key"]
        assert self.leftovers() == []

    @pytest.mark.parametrize("sent", [400_000, LARGE_BYTES])
    async def test_an_upload_that_is_cancelled_leaves_nothing(
        self, store: ObjectStore, sent: int
    ) -> None:
        waiting = asyncio.Event()

        async def stalling() -> AsyncIterator[bytes]:
            async for chunk in in_chunks(os.urandom(sent)):
                yield chunk
            waiting.set()
            await asyncio.sleep(60)

        upload = asyncio.create_task(store.put("key", stalling()))
        await asyncio.wait_for(waiting.wait(), 30)
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        assert await keys_of(store) == []
        assert self.leftovers() == []

    async def test_a_reader_sees_nothing_of_an_unfinished_upload(self, store: ObjectStore) -> None:
        seen: list[list[str]] = []

        async def watched() -> AsyncIterator[bytes]:
            async for chunk in in_chunks(os.urandom(LARGE_BYTES), 4 * MEBIBYTE):
                yield chunk
                seen.append(await keys_of(store))

        await store.put("key", watched())
        assert seen == [[]] * 5
        assert await keys_of(store) == ["key"]

    async def test_what_a_dead_process_left_is_swept_when_it_is_old(
        self, store: ObjectStore
    ) -> None:
        await store.put("kept", in_chunks(b"x"))
        await self.abandon_upload(store)
        assert len(self.leftovers()) == 1
        if not self.knows_the_dead:
            assert await store.sweep_abandoned(datetime.now(UTC) - timedelta(hours=1)) == 0
            assert len(self.leftovers()) == 1
        older_than = datetime.now(UTC) + timedelta(hours=-1 if self.knows_the_dead else 1)
        assert await store.sweep_abandoned(older_than) == 1
        assert self.leftovers() == []
        assert await keys_of(store) == ["kept"]

    async def test_many_uploads_and_reads_at_once_do_not_mix(self, store: ObjectStore) -> None:
        contents = {f"many/{number}": os.urandom(50_000 + number) for number in range(24)}
        await asyncio.gather(*(store.put(key, in_chunks(it)) for key, it in contents.items()))
        read = await asyncio.gather(*(content_of(store, key) for key in contents))
        assert dict(zip(contents, read, strict=True)) == contents

    async def test_a_reader_may_leave_early(self, store: ObjectStore) -> None:
        await store.put("key", in_chunks(os.urandom(LARGE_BYTES)))
        for _ in range(20):
            async with aclosing(store.read("key")) as chunks:
                async for chunk in chunks:
                    assert 0 < len(chunk) <= READ_CHUNK_BYTES
                    break
        assert (await store.stat("key")).size_bytes == LARGE_BYTES

    async def test_memory_does_not_grow_with_the_object(self, store: ObjectStore) -> None:
        chunk = os.urandom(MEBIBYTE)

        async def long() -> AsyncIterator[bytes]:
            for _ in range(96):
                yield chunk

        tracemalloc.start()
        try:
            await store.put("key", long())
            digest = hashlib.sha256()
            async with aclosing(store.read("key")) as chunks:
                async for piece in chunks:
                    digest.update(piece)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert digest.digest() == hashlib.sha256(chunk * 96).digest()
        assert peak < 48 * MEBIBYTE

    async def test_probing_a_store_that_works_leaves_nothing(self, store: ObjectStore) -> None:
        await store.probe()
        assert await keys_of(store) == []
        assert self.leftovers() == []

    @pytest.mark.parametrize(
        "key",
        ["", "/a", "a/", "a//b", "../a", "a/../b", ".uploads/x", "a b", "ä", "a\n", "x" * 129],
    )
    async def test_keys_that_could_escape_are_refused(self, store: ObjectStore, key: str) -> None:
        with pytest.raises(ValueError, match="object key"):
            await store.put(key, in_chunks(b"x"))
        with pytest.raises(ValueError, match="object key"):
            await store.stat(key)
        with pytest.raises(ValueError, match="object key"):
            await store.delete(key)
        with pytest.raises(ValueError, match="object key"):
            await content_of(store, key)

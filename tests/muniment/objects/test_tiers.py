"""Two stores that are read as one: conformance, whichever of them holds an object."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from muniment.errors import ObjectMissing, ObjectStoreUnavailable
from muniment.objects import FilesystemObjectStore, ObjectStore, TieredObjectStore
from muniment.objects.filesystem import UPLOADS
from tests.conformance.object_store import (
    ObjectStoreConformance,
    content_of,
    in_chunks,
    keys_of,
)


class TestTieredObjectStore(ObjectStoreConformance):
    root: Path
    knows_the_dead = True

    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[ObjectStore]:
        self.root = tmp_path
        hot, cold = (
            FilesystemObjectStore(tmp_path / "hot"),
            FilesystemObjectStore(tmp_path / "cold"),
        )
        store = TieredObjectStore(hot, cold)
        yield store
        await store.close()

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.root.glob(f"*/{UPLOADS}/*"))

    async def abandon_upload(self, store: ObjectStore) -> None:
        uploads = self.root / "cold" / UPLOADS
        uploads.mkdir(parents=True, exist_ok=True)
        (uploads / "0123456789abcdef").write_bytes(b"half an object")


@pytest.fixture
def hot(tmp_path: Path) -> FilesystemObjectStore:
    return FilesystemObjectStore(tmp_path / "hot")


@pytest.fixture
def cold(tmp_path: Path) -> FilesystemObjectStore:
    return FilesystemObjectStore(tmp_path / "cold")


async def test_what_lies_in_the_cold_store_is_read_from_there(
    hot: FilesystemObjectStore, cold: FilesystemObjectStore
) -> None:
    store = TieredObjectStore(hot, cold)
    await cold.put("a/cold", in_chunks(b"cold content"))
    await store.put("a/hot", in_chunks(b"hot content"))
    assert await content_of(store, "a/cold", 5, 7) == b"content"
    assert (await store.stat("a/cold")).size_bytes == 12
    assert await keys_of(store, "a/") == ["a/hot", "a/cold"]
    assert await keys_of(cold) == ["a/cold"]
    with pytest.raises(ObjectMissing):
        await content_of(store, "a/neither")


async def test_deleting_deletes_from_both(
    hot: FilesystemObjectStore, cold: FilesystemObjectStore
) -> None:
    for store in (hot, cold):
        await store.put("a", in_chunks(b"on its way"))
    await TieredObjectStore(hot, cold).delete("a")
    assert await keys_of(hot) == await keys_of(cold) == []


async def test_without_the_cold_store_what_is_hot_is_served(
    hot: FilesystemObjectStore, tmp_path: Path
) -> None:
    (tmp_path / "cold").write_bytes(b"no folder")
    store = TieredObjectStore(hot, FilesystemObjectStore(tmp_path / "cold"))
    await store.put("a", in_chunks(b"content"))
    assert await content_of(store, "a") == b"content"
    await store.probe()
    with pytest.raises((ObjectStoreUnavailable, ObjectMissing)):
        await content_of(store, "b")

"""Wrapped data keys as files, in the folder of keys."""

from collections.abc import AsyncIterable, Iterator
from contextlib import contextmanager

from muniment.errors import KeyStorageFull, StorageFull
from muniment.objects.filesystem import FilesystemObjectStore


class WrappedKeyFolder(FilesystemObjectStore):
    """The objects may lie on another disk, or none of this machine's: a full one is told apart.
    `put` and `probe` raise `KeyStorageFull`, and no `StorageFull`."""

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        with _full_as_of_keys():
            await super().put(key, chunks)

    async def probe(self) -> None:
        with _full_as_of_keys():
            await super().probe()


@contextmanager
def _full_as_of_keys() -> Iterator[None]:
    try:
        yield
    except StorageFull as error:
        raise KeyStorageFull(
            "the key of some content cannot be written: the disk of keys is full"
        ) from error

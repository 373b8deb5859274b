"""What an object store promises. `tests/conformance/object_store.py` holds every store to it.

A key is one to 32 names joined by `/`; a name is 1 to 128 of `A-Z a-z 0-9 . _ -` and does not
start with a dot. Keys carry ids only, never names that people chose.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

READ_CHUNK_BYTES = 32 * 65_568
"""Stores hand out content in chunks of at most this size: 32 sealed segments, which open together."""

PAGE_KEYS = 1000
"""`list` hands out pages of at most so many objects."""

_NAME = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}"
_KEY = re.compile(rf"{_NAME}(?:/{_NAME}){{0,31}}")


class Retrieval(StrEnum):
    """Whether an object can be read: at once, as all are in most stores; not before it was retrieved from
    an archive; or for some days, since it was."""

    READABLE = "readable"
    ARCHIVED = "archived"
    IN_PROGRESS = "in_progress"
    RETRIEVED = "retrieved"


@dataclass(frozen=True)
class StoredObject:
    """An object as it lies in the store; `retrieval` as `stat` tells it, which `list` does not."""

    key: str
    size_bytes: int
    modified_at: datetime
    retrieval: Retrieval = Retrieval.READABLE


class ObjectStore(Protocol):
    """Whole objects by key. Every method raises `ObjectStoreUnavailable` when the store does not
    answer in time, refuses, or is full; the detail says which, and a retry may help.
    """

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        """Stores the chunks, joined, as one object, durably.

        Whole or nothing: readers see the former object or the new one, and when the chunks raise,
        the store fails or the caller is cancelled, nothing of the upload stays behind. Memory use
        does not grow with the object.
        """
        ...

    def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        """The content from `offset`, `length` bytes of it or all, in chunks.

        What lies past the end is left out, as with a file. Raises `ObjectMissing`, and
        `ContentInRetrieval` for what is archived, at the first step. Close the iterator
        (`contextlib.aclosing`) when leaving it early.
        """
        ...

    async def stat(self, key: str) -> StoredObject:
        """Size and time of the object; `ObjectMissing` when there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Removes the object, durably; does nothing when there is none."""
        ...

    async def archive(self, key: str) -> None:
        """Puts the object, which was read and compared, where it costs least and has to be retrieved
        before it is read again; does nothing in a store that has no such place, or is not set so."""
        ...

    async def retrieve(self, key: str) -> None:
        """Has an archived object made readable for some days, which takes minutes to days; does nothing
        for one that can be read, or that is on its way. `ObjectMissing` when there is none."""
        ...

    async def probe(self) -> None:
        """Returns when the store can be written and read right now; for health checks."""
        ...

    async def sweep_abandoned(self, older_than: datetime) -> int:
        """Removes what uploads left behind whose process died before that time; says how many.

        A store that can tell that a process is dead removes what it left at once. In others an
        upload that still runs is left alone only if it began later, so `older_than` lies further
        back than the longest upload takes.
        """
        ...

    async def close(self) -> None:
        """Gives back connections and threads. The store is not used afterwards."""
        ...

    def list(self, prefix: str = "") -> AsyncIterator[tuple[StoredObject, ...]]:
        """The objects whose keys start with `prefix`, by key, in pages of at most 1,000.

        Objects put or deleted meanwhile may or may not appear.
        """
        ...


def require_key(key: str) -> str:
    """The key itself; `ValueError` when it breaks the rules above."""
    if not _KEY.fullmatch(key):
        raise ValueError("an object key is made of names of A-Z a-z 0-9 . _ - joined by /")
    return key

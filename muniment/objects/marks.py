"""What tells a store from an empty folder at the place where it should be mounted.

Deleting the one copy because the other is seen is right only where what is seen is the store. So each
tier holds an object of its own, and who made it is kept beside the keys, which every process has.
"""

import asyncio
import hashlib
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from muniment.contracts.move_tier import Tier
from muniment.errors import ConfigurationError, ObjectMissing, ObjectStoreUnavailable
from muniment.objects.interface import ObjectStore
from muniment.objects.pieces import once
from muniment.sealing.locked_file import replace_file, when_locked

MARK = "installation/mark"
"""Its key; no blob's, so that no sweep takes it for an orphan."""
IDENTITY = "installation"
LOCK_SECONDS = 10.0


class StoreMark:
    """The mark of one tier. `place` is where its settings say it is: a store that was carried elsewhere
    with all it holds has its mark there too."""

    def __init__(self, store: ObjectStore, tier: Tier, folder: Path, place: str) -> None:
        self._store = store
        self._tier = tier
        self._identity = folder / IDENTITY
        self._record = folder / f"{tier}-{hashlib.sha256(place.encode()).hexdigest()[:16]}"

    async def is_made(self) -> bool:
        """Whether the store was ever marked at this place."""
        return await asyncio.to_thread(self._record.exists)

    async def make(self, *, may_be_new: bool) -> None:
        """Marks the store. ObjectStoreUnavailable where it has no mark though it should hold something;
        ConfigurationError where it has that of another installation, or of the other tier."""
        wanted = await asyncio.to_thread(self._wanted)
        seen = await self._seen()
        if seen is None and not may_be_new:
            raise self._away()
        if seen is None:
            await self._store.put(MARK, once(wanted))
        elif seen != wanted:
            raise ConfigurationError(
                f"the {self._tier} store is another installation's, or the other tier",
                remedy="Give MUNIMENT_OBJECTS__… and MUNIMENT_COLD_STORE__… the places that they had.",
            )
        await asyncio.to_thread(replace_file, self._record, b"")

    async def require(self) -> None:
        """ObjectStoreUnavailable where a store that was marked shows its mark no more."""
        if await self.is_made() and await self._seen() != await asyncio.to_thread(self._wanted):
            raise self._away()

    def _away(self) -> ObjectStoreUnavailable:
        return ObjectStoreUnavailable(
            f"what lies at the place of the {self._tier} store is not that store",
            remedy="Mount it, or bring its folder or bucket back with all that it held.",
        )

    async def _seen(self) -> bytes | None:
        with suppress(ObjectMissing):
            return b"".join([chunk async for chunk in self._store.read(MARK)])
        return None

    def _wanted(self) -> bytes:
        with suppress(FileNotFoundError):
            return f"{self._identity.read_text()} {self._tier}".encode()
        with when_locked(self._identity, LOCK_SECONDS):
            if not self._identity.exists():
                replace_file(self._identity, uuid4().hex.encode())
            return f"{self._identity.read_text()} {self._tier}".encode()

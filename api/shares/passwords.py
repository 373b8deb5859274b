"""SharePasswords of share links: argon2id, so that whoever steals the database tries few a second."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from api.slots import Slots

TIME_COST = 3
MEMORY_KIB = 64 * 1024
PARALLELISM = 4
AT_ONCE = 2
MAX_WAITING = 16


class SharePasswords:
    """A few at a time, each with its 64 MiB, in threads; those beyond the queue's end are refused."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(
            time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM
        )
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._places = Slots(AT_ONCE + MAX_WAITING, "passwords")
        self._makers = Slots(MAX_WAITING, "new passwords")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held around `is_right`, and what has to be asked before it: so that those who guess hold no
        more connections than there are turns. Raises TooManyRequests when too many wait."""
        with self._places.take():
            async with self._turns:
                yield

    async def hash(self, password: str) -> str:
        """What is stored. In places of its own: visitors who guess leave room for those who make
        links. Raises TooManyRequests when too many wait."""
        with self._makers.take():
            async with self._turns:
                return await asyncio.to_thread(self._hasher.hash, _normalised(password))

    async def is_right(self, stored: str, password: str) -> bool:
        """Whether it is the password that was stored so. The caller has a turn."""
        return await asyncio.to_thread(self._matches, stored, _normalised(password))

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerifyMismatchError:
            return False


def _normalised(password: str) -> str:
    """Keyboards of different systems make an accented letter of one character, or of two."""
    return unicodedata.normalize("NFC", password)

"""argon2id (RFC 9106) as this API uses it: a few at a time, in threads."""

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError

TIME_COST = 3
MEMORY_KIB = 64 * 1024
PARALLELISM = 4
"""Together 80 ms: whoever steals the database tries few a second."""


class PasswordHashing:
    """Each hash takes 64 MiB and its threads: whoever wants one waits for a turn of `at_once`. How many
    may wait is for those to say who know what it holds up."""

    def __init__(self, at_once: int) -> None:
        self._hasher = PasswordHasher(TIME_COST, MEMORY_KIB, PARALLELISM)
        self._turns = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held around the calls below."""
        async with self._turns:
            yield

    async def hash(self, password: str) -> str:
        """What is stored: the parameters and a salt of its own with it."""
        return await asyncio.to_thread(self._hasher.hash, _normalised(password))

    async def matches(self, stored: str, password: str) -> bool:
        """Whether it is the password that was stored so."""
        return await asyncio.to_thread(self._matches, stored, _normalised(password))

    def needs_rehash(self, stored: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except VerificationError:
            return False


def _normalised(password: str) -> str:
    """Keyboards of different systems make an accented letter of one character, or of two."""
    return unicodedata.normalize("NFC", password)

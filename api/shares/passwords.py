"""Passwords of share links: who waits for whom."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from api.password_hashing import PasswordHashing
from api.slots import Slots

AT_ONCE = 2
MAX_WAITING = 16


class SharePasswords:
    """A few are looked at at a time; those beyond the queue's end are refused."""

    def __init__(self) -> None:
        self._hashing = PasswordHashing(AT_ONCE)
        self._places = Slots(AT_ONCE + MAX_WAITING, "passwords")
        self._makers = Slots(MAX_WAITING, "new passwords")

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Held around `is_right`, and what has to be asked before it: so that those who guess hold no
        more connections than there are turns. Raises TooManyRequests when too many wait."""
        with self._places.take():
            async with self._hashing.turn():
                yield

    async def hash(self, password: str) -> str:
        """What is stored. In places of its own: visitors who guess leave room for those who make
        links. Raises TooManyRequests when too many wait."""
        with self._makers.take():
            async with self._hashing.turn():
                return await self._hashing.hash(password)

    async def is_right(self, stored: str, password: str) -> bool:
        """Whether it is the password that was stored so. The caller has a turn."""
        return await self._hashing.matches(stored, password)

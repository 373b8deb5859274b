"""Passwords: argon2id (RFC 9106), a few at a time, in threads."""

import asyncio
import secrets
from typing import Annotated

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from pydantic import AfterValidator, Field, SecretStr

from api.slots import Slots

TIME_COST = 3
MEMORY_KIB = 64 * 1024
PARALLELISM = 4
MOST_WAITING = 32
"""Hashes one process has begun or wants to: 80 ms each, so that nobody waits for long."""
SHORTEST = 12
LONGEST = 256


def _encodable(password: SecretStr) -> SecretStr:
    value = password.get_secret_value()
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("a password holds no lone surrogates")
    return password


GivenPassword = Annotated[SecretStr, Field(max_length=1024), AfterValidator(_encodable)]
"""One that is to be compared."""
NewPassword = Annotated[
    SecretStr,
    Field(
        min_length=SHORTEST,
        max_length=LONGEST,
        description=f"{SHORTEST} to {LONGEST} characters of any kind.",
    ),
    AfterValidator(_encodable),
]


class Passwords:
    """Hashes and verifies; raises TooManyRequests when too many want it at once."""

    def __init__(
        self,
        at_once: int,
        *,
        time_cost: int = TIME_COST,
        memory_kib: int = MEMORY_KIB,
        parallelism: int = PARALLELISM,
    ) -> None:
        self._hasher = PasswordHasher(time_cost, memory_kib, parallelism)
        self._working = asyncio.Semaphore(at_once)
        self._slots = Slots(MOST_WAITING, "password checks")
        self._nobodys: str | None = None

    async def hash(self, password: SecretStr) -> str:
        """With the parameters and a salt of its own."""
        with self._slots.take():
            async with self._working:
                return await asyncio.to_thread(self._hasher.hash, password.get_secret_value())

    async def verify(self, stored: str | None, password: SecretStr) -> bool:
        """Whether it is the password. Without one it is compared with nobody's: how long an answer
        takes does not tell whether there is such a name."""
        with self._slots.take():
            async with self._working:
                return await asyncio.to_thread(self._verify, stored, password.get_secret_value())

    def needs_rehash(self, stored: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)

    def _verify(self, stored: str | None, password: str) -> bool:
        if self._nobodys is None:
            self._nobodys = self._hasher.hash(secrets.token_hex(32))
        try:
            return self._hasher.verify(stored or self._nobodys, password) and stored is not None
        except VerificationError:
            return False

"""Passwords that people sign in with."""

import secrets
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from api.password_hashing import PasswordHashing
from api.slots import Slots

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

    def __init__(self, at_once: int) -> None:
        self._hashing = PasswordHashing(at_once)
        self._slots = Slots(MOST_WAITING, "password checks")
        self._nobodys: str | None = None

    async def hash(self, password: SecretStr) -> str:
        with self._slots.take():
            async with self._hashing.turn():
                return await self._hashing.hash(password.get_secret_value())

    async def verify(self, stored: str | None, password: SecretStr) -> bool:
        """Whether it is the password. Without one it is compared with nobody's: how long an answer
        takes does not tell whether there is such a name."""
        with self._slots.take():
            async with self._hashing.turn():
                if self._nobodys is None:
                    self._nobodys = await self._hashing.hash(secrets.token_hex(32))
                is_right = await self._hashing.matches(
                    stored or self._nobodys, password.get_secret_value()
                )
                return is_right and stored is not None

    def needs_rehash(self, stored: str) -> bool:
        """Whether it was made with other parameters than are used now."""
        return self._hashing.needs_rehash(stored)

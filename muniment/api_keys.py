"""API keys and the tokens of people who signed in.

All are a prefix + 30 base62 characters of randomness + 6 of their CRC-32, so that a mistyped or leaked
one is recognised without a look-up, by scanners of source code too: `mun_` begins a key, `munat_` an
access token, `munrt_` a refresh token. Stored as SHA-256: each has 178 bits, so no salt or slow hash
is needed.
"""

import binascii
import hashlib
import secrets
import string
from dataclasses import dataclass, field
from enum import StrEnum

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARACTERS = 30
_CHECK_CHARACTERS = 6
_SHOWN_CHARACTERS = 12

ALL_SCOPES = (
    "files:read",
    "files:write",
    "files:delete",
    "jobs:read",
    "jobs:write",
    "search",
    "audit:read",
    "metrics:read",
    "keys:manage",
    "quarantine:decide",
    "payloads:read",
    "files:share",
    "principals:manage",
)
"""Every scope, from which a key is given some. docs/api-keys in the OpenAPI description says which
route asks for which."""
USER_SCOPES = (
    "files:read",
    "files:write",
    "files:delete",
    "files:share",
    "jobs:read",
    "jobs:write",
    "search",
)
"""What people may who sign in and are no administrators: work with files, as far as they see them."""


class Prefix(StrEnum):
    """What a secret begins with says what it is."""

    API_KEY = "mun_"
    ACCESS_TOKEN = "munat_"  # noqa: S105 - how tokens begin
    REFRESH_TOKEN = "munrt_"  # noqa: S105 - how tokens begin


@dataclass(frozen=True)
class NewApiKey:
    """`secret` is shown once and never stored; `prefix` is what lists show."""

    secret: str = field(repr=False)
    prefix: str
    hash: bytes


def scopes_of_role(*, is_admin: bool) -> frozenset[str]:
    """The scopes of whoever signed in: an administrator's, or anybody's."""
    return frozenset(ALL_SCOPES if is_admin else USER_SCOPES)


def new_api_key() -> NewApiKey:
    secret = new_secret(Prefix.API_KEY)
    return NewApiKey(secret=secret, prefix=secret[:_SHOWN_CHARACTERS], hash=hash_api_key(secret))


def new_secret(prefix: Prefix) -> str:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return prefix + body + _check(body)


def hash_api_key(secret: str) -> bytes:
    """SHA-256 of a key or a token, as it is stored."""
    return hashlib.sha256(secret.encode()).digest()


def is_well_formed(secret: str, prefix: Prefix = Prefix.API_KEY) -> bool:
    """Whether the check characters fit: what does not is none of ours, and is not looked up."""
    body = secret[len(prefix) : -_CHECK_CHARACTERS]
    return (
        secret.startswith(prefix)
        and len(body) == _RANDOM_CHARACTERS
        and secret.isascii()
        and secrets.compare_digest(secret[-_CHECK_CHARACTERS:], _check(body))
    )


def _check(body: str) -> str:
    value = binascii.crc32(body.encode())
    characters = ""
    for _ in range(_CHECK_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        characters = _ALPHABET[digit] + characters
    return characters

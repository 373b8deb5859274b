"""API keys: `mun_` + 30 base62 characters of randomness + 6 of their CRC-32, so that a mistyped or
leaked key is recognised without a look-up. Stored as SHA-256: the key has 178 bits, so no salt or
slow hash is needed."""

import binascii
import hashlib
import secrets
import string
from dataclasses import dataclass, field

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_PREFIX = "mun_"
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
    "webhooks:manage",
)
"""Every scope, from which a key is given some. docs/api-keys in the OpenAPI description says which
route asks for which."""


@dataclass(frozen=True)
class NewApiKey:
    """`secret` is shown once and never stored; `prefix` is what lists show."""

    secret: str = field(repr=False)
    prefix: str
    hash: bytes


def new_api_key() -> NewApiKey:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    secret = _PREFIX + body + _check(body)
    return NewApiKey(secret=secret, prefix=secret[:_SHOWN_CHARACTERS], hash=hash_api_key(secret))


def hash_api_key(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def is_well_formed(secret: str) -> bool:
    """Whether the check characters fit: what does not is no key of ours, and is not looked up."""
    body = secret[len(_PREFIX) : -_CHECK_CHARACTERS]
    return (
        secret.startswith(_PREFIX)
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

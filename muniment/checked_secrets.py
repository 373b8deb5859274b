"""Secrets that carry a check: a prefix, 30 base62 characters of randomness, and 6 of their CRC-32, so
that a mistyped or leaked one is recognised without a look-up. Stored as SHA-256: one has 178 bits, so
no salt or slow hash is needed."""

import binascii
import hashlib
import secrets
import string

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_RANDOM_CHARACTERS = 30
_CHECK_CHARACTERS = 6


def new_secret(prefix: str) -> str:
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return prefix + body + _check(body)


def hash_secret(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def has_form_of(secret: str, prefix: str) -> bool:
    """Whether the check characters fit: what does not is no secret of ours, and is not looked up."""
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

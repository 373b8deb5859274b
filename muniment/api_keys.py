"""API keys: `mun_` and a secret with its check. Stored as SHA-256, and shown once."""

from dataclasses import dataclass, field

from muniment.checked_secrets import has_form_of, hash_secret, new_secret

_PREFIX = "mun_"
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
    "shares:manage",
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
    secret = new_secret(_PREFIX)
    return NewApiKey(secret=secret, prefix=secret[:_SHOWN_CHARACTERS], hash=hash_api_key(secret))


def hash_api_key(secret: str) -> bytes:
    return hash_secret(secret)


def is_well_formed(secret: str) -> bool:
    """Whether it can be a key at all: what cannot is not looked up."""
    return has_form_of(secret, _PREFIX)

"""API keys and the tokens of people who signed in: secrets with a check (`checked_secrets`), which
scanners of source code tell by their prefix: `mun_` begins a key, `munat_` an access token, `munrt_` a
refresh token, `munse_` a browser's session, `munin_` an invitation. Stored as SHA-256, and shown once."""

from dataclasses import dataclass, field
from enum import StrEnum

from muniment.checked_secrets import has_form_of, hash_secret, new_secret

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
    "shares:manage",
    "files:share",
    "principals:manage",
    "encryption:manage",
    "annotations:write",
    "holds:manage",
    "retention:manage",
    "retention:bypass",
    "findings:reveal",
    "subjects:manage",
    "tenants:manage",
)
"""Every scope, from which a key is given some. docs/api-keys in the OpenAPI description says which
route asks for which. `tenants:manage` is worth something in a tenant that operates alone."""
USER_SCOPES = (
    "files:read",
    "files:write",
    "files:delete",
    "files:share",
    "annotations:write",
    "shares:manage",
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
    SESSION = "munse_"
    INVITATION = "munin_"


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


def hash_api_key(secret: str) -> bytes:
    """SHA-256 of a key or a token, as it is stored."""
    return hash_secret(secret)


def is_well_formed(secret: str, prefix: Prefix = Prefix.API_KEY) -> bool:
    """Whether it can be one at all: what cannot is not looked up."""
    return has_form_of(secret, prefix)

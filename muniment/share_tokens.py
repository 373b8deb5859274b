"""Tokens of share links: `mus_` and a secret with its check. Whoever has one has the link; it is shown
to whoever made it once, and stored as SHA-256."""

from dataclasses import dataclass, field

from muniment.checked_secrets import has_form_of, hash_secret, new_secret

_PREFIX = "mus_"


@dataclass(frozen=True)
class NewShareToken:
    """`token` is shown once and never stored."""

    token: str = field(repr=False)
    hash: bytes


def new_share_token() -> NewShareToken:
    token = new_secret(_PREFIX)
    return NewShareToken(token, hash_share_token(token))


def hash_share_token(token: str) -> bytes:
    return hash_secret(token)


def is_well_formed(token: str) -> bool:
    """Whether it can be a token at all: what cannot is not looked up."""
    return has_form_of(token, _PREFIX)

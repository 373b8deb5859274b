"""Text as PostgreSQL can hold it: what it cannot is refused where it comes in, by field."""

from typing import Annotated

from pydantic import AfterValidator

LARGEST_INTEGER = 2**31 - 1
"""The most that a column of PostgreSQL's type `integer` holds."""
LARGEST_BIG_INTEGER = 2**63 - 1
"""Likewise of `bigint`."""


def require_storable(text: str) -> str:
    """Raises ValueError for text with NUL or lone surrogates, which PostgreSQL's text cannot hold."""
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError("text holds neither NUL nor lone surrogates")
    return text


StorableText = Annotated[str, AfterValidator(require_storable)]

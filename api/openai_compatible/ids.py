"""Ids as OpenAI's clients see them: a prefix, and our UUID without its hyphens. No table maps them."""

import re
from enum import StrEnum
from uuid import UUID

from muniment.errors import NotFound

_HEXADECIMAL = re.compile(r"[0-9a-f]{32}")


class IdPrefix(StrEnum):
    FILE = "file-"
    VECTOR_STORE = "vs_"
    FILE_BATCH = "vsfb_"
    CHAT_COMPLETION = "chatcmpl-"


_NAMES = {
    IdPrefix.FILE: "file",
    IdPrefix.VECTOR_STORE: "vector store",
    IdPrefix.FILE_BATCH: "file batch",
}


def shown_id(prefix: IdPrefix, identity: UUID) -> str:
    return f"{prefix}{identity.hex}"


def uuid_of(prefix: IdPrefix, shown: str) -> UUID:
    """Raises NotFound for what is no id of that kind: nothing has it."""
    digits = shown.removeprefix(prefix)
    if not shown.startswith(prefix) or _HEXADECIMAL.fullmatch(digits) is None:
        raise absent(prefix)
    return UUID(digits)


def absent(prefix: IdPrefix) -> NotFound:
    """The same for what is not there, and what is not the caller's to see."""
    return NotFound(f"there is no such {_NAMES[prefix]}")

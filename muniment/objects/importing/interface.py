"""What a source of imports promises.

Its keys are others' names, relative to the place that the operator named. One that could lead out of
that place is listed, so that it is counted, and never read.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol

from muniment.errors import InvalidRequest

MAX_KEY_CHARACTERS = 1024
"""As long as a file's name may be; S3's keys are at most as many bytes."""
PAGE_OBJECTS = 500


@dataclass(frozen=True)
class FoundObject:
    key: str
    size_bytes: int


class ImportSource(Protocol):
    """Raises `SourceUnavailable` when the place does not answer, which a retry may cure, and
    `Forbidden` when it refuses, which only its operator can."""

    def list(self, prefix: str, after: str | None) -> AsyncGenerator[tuple[FoundObject, ...], None]:
        """What lies below the prefix, in an order of the source's own, from the object after that
        key on; in pages of at most 500. Links are passed over, folders are no objects."""
        ...

    def read(self, key: str) -> AsyncGenerator[bytes, None]:
        """The object's content in chunks. `ObjectMissing` when it is not there, or no file any
        more; `InvalidRequest` for a key that is not usable."""
        ...

    async def probe(self) -> None:
        """Returns when the place answers."""
        ...

    async def close(self) -> None:
        """Ends what the source holds open."""
        ...


def is_usable_key(key: str) -> bool:
    """Names joined by `/`, none of them empty, `.` or `..`: HTTP clients and file systems resolve
    those, and so would leave the place. It is a file's name then, so PostgreSQL has to hold it."""
    return (
        len(key) <= MAX_KEY_CHARACTERS
        and bool(key.strip())
        and "\0" not in key
        and not any("\ud800" <= character <= "\udfff" for character in key)
        and all(name not in ("", ".", "..") for name in key.split("/"))
    )


def require_usable(key: str) -> str:
    if not is_usable_key(key):
        raise InvalidRequest("The object's name could lead out of its source.")
    return key

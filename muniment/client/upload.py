"""Uploads: what is sent, and where its bytes come from."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal
from uuid import UUID

from pydantic import JsonValue

from muniment.contracts.media_types import media_type_of_name
from muniment.errors import InvalidRequest

OnConflict = Literal["version"]
ProgressCallback = Callable[[int], None]
"""Told how many bytes of the content have been handed to the network so far; a retry starts at 0
again, or at what had arrived of an upload that is resumed."""


@dataclass(frozen=True)
class Upload:
    """What to send. `source` is a path, bytes, or a seekable binary file at any position. `resumable`
    has it go on where it broke off; by default, what is large enough for that to matter. `version_of`:
    the file that it is a new version of, which goes in one request."""

    source: Path | str | bytes | BinaryIO
    name: str | None = None
    collection: str | None = None
    metadata: Mapping[str, JsonValue] | None = None
    media_type: str | None = None
    priority: int | None = None
    password: str | None = field(default=None, repr=False)
    on_conflict: OnConflict | None = None
    verify: bool = False
    progress: ProgressCallback | None = None
    resumable: bool | None = None
    version_of: UUID | str | None = None

    @property
    def file_name(self) -> str:
        if self.name is not None:
            return self.name
        if isinstance(self.source, str | Path):
            return Path(self.source).name
        given = getattr(self.source, "name", None)
        if isinstance(given, str) and given:
            return Path(given).name
        raise InvalidRequest("a name is needed for bytes", remedy="Pass `name=`.")

    @property
    def sent_media_type(self) -> str:
        return self.media_type or media_type_of_name(self.file_name)

    def fields(self) -> dict[str, str]:
        chosen: dict[str, str | None] = {
            "name": self.file_name,
            "collection": self.collection,
            "metadata": json.dumps(self.metadata) if self.metadata is not None else None,
            "priority": str(self.priority) if self.priority is not None else None,
            "password": self.password,
            "on_conflict": self.on_conflict,
        }
        return {name: value for name, value in chosen.items() if value is not None}


@contextmanager
def opened(upload: Upload) -> Iterator[BinaryIO]:
    """The content at its start; a path is closed afterwards, a caller's file is left open. Raises
    InvalidRequest when it cannot be opened, or not be read twice."""
    source = upload.source
    if isinstance(source, bytes):
        yield BytesIO(source)
    elif isinstance(source, str | Path):
        with ExitStack() as stack:
            try:
                opened = stack.enter_context(Path(source).open("rb"))
            except OSError as error:
                raise InvalidRequest(
                    f"{source}: {error.strerror}", remedy="Name a file that can be read."
                ) from error
            yield opened
    elif source.seekable():
        source.seek(0)
        yield source
    else:
        raise InvalidRequest(
            "a stream that cannot be rewound cannot be sent again when the connection breaks",
            remedy="Write it to a temporary file first.",
        )


def stamp_of(content: BinaryIO) -> tuple[int, int] | None:
    """What tells that a file was written to: its size and when that was. None for what is none."""
    try:
        status = os.fstat(content.fileno())
    except (OSError, AttributeError):
        return None
    return status.st_size, status.st_mtime_ns


def size_of(content: BinaryIO) -> int:
    """Leaves the content at its start."""
    size = content.seek(0, os.SEEK_END)
    content.seek(0)
    return size

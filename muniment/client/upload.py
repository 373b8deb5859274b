"""Uploads: where the bytes come from, and the request that carries them."""

import base64
import hashlib
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Literal

import httpx
from pydantic import JsonValue

from muniment.client.actions import Flow
from muniment.client.calls import parse_model
from muniment.client.models import File
from muniment.client.protocol import Protocol
from muniment.contracts.media_types import media_type_of_name
from muniment.errors import InvalidRequest

OnConflict = Literal["version"]
ProgressCallback = Callable[[int], None]
"""Told how many bytes of the content have been handed to the network so far; a retry starts at 0
again."""

_DIGEST_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Upload:
    """What to send. `source` is a path, bytes, or a seekable binary file at any position."""

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


def send(protocol: Protocol, upload: Upload) -> Flow[File]:
    """Uploads a file, streamed from where it lies; the answer carries its job.

    Safe to repeat by its Idempotency-Key, so a broken connection or a busy API is tried again from
    the first byte. Raises InvalidRequest when the source cannot be opened or read twice.
    """
    key = str(uuid.uuid4())
    with _opened(upload) as content:
        headers = {"Idempotency-Key": key}
        if upload.verify:
            headers["Repr-Digest"] = _repr_digest(content)

        def build() -> httpx.Request:
            return _request(protocol, upload, content, headers)

        response = yield from protocol.exchange(build, repeatable=True, keyed=True)
    return parse_model(File, response.content)


def _request(
    protocol: Protocol, upload: Upload, content: BinaryIO, headers: Mapping[str, str]
) -> httpx.Request:
    media_type = upload.media_type or media_type_of_name(upload.file_name)
    counted = _Counted(content, upload.progress)
    part = (upload.file_name, counted, media_type)
    return protocol.request(
        "POST",
        "/v1/files",
        fields=upload.fields(),
        files=[("file", part)],
        headers=headers,
    )


@contextmanager
def _opened(upload: Upload) -> Iterator[BinaryIO]:
    """The content at its start; a path is closed afterwards, a caller's file is left open."""
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


def _repr_digest(content: BinaryIO) -> str:
    """Repr-Digest (RFC 9530) of the file's bytes, SHA-256."""
    digest = hashlib.sha256()
    while block := content.read(_DIGEST_BLOCK_BYTES):
        digest.update(block)
    content.seek(0)
    return f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"


class _Counted:
    """A readable file that tells how far it has been read. It has no `fileno`, so that httpx asks
    `seek` and `tell` for the size and rewinds it before every attempt."""

    def __init__(self, content: BinaryIO, progress: ProgressCallback | None) -> None:
        self._content = content
        self._progress = progress

    def read(self, size: int = -1) -> bytes:
        block = self._content.read(size)
        if block and self._progress is not None:
            self._progress(self._content.tell())
        return block

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._content.seek(offset, whence)

    def tell(self) -> int:
        return self._content.tell()

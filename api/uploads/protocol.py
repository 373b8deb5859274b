"""What requests and answers of tus 1.0.0 say in their headers."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import format_datetime
from uuid import UUID

from db.models import Upload
from muniment.errors import (
    ChecksumMismatch,
    ContentTooLarge,
    InvalidRequest,
    ProtocolVersion,
    UnsupportedMediaType,
)

VERSION = "1.0.0"
EXTENSIONS = (
    "creation",
    "creation-with-upload",
    "creation-defer-length",
    "expiration",
    "checksum",
    "termination",
    "concatenation",
)
CHECKSUM_ALGORITHMS = ("sha1", "sha256", "sha512")
PIECE_TYPE = "application/offset+octet-stream"
FILE_HEADER = "Muniment-File"
PARTIAL = "partial"
FINAL = "final;"
MAX_PARTIALS = 500
"""Of one concatenation."""
_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class Creation:
    """What a POST asks for. `size` is null where it is said later; `partials` are what a final upload
    is joined from."""

    size: int | None
    described: str
    concatenation: str
    partials: tuple[UUID, ...]

    @property
    def is_partial(self) -> bool:
        return self.concatenation == PARTIAL

    @property
    def is_final(self) -> bool:
        return self.concatenation.startswith(FINAL)


def require_version(headers: Mapping[str, str]) -> None:
    """Raises ProtocolVersion unless the request speaks this one."""
    if headers.get("tus-resumable") != VERSION:
        raise ProtocolVersion(f"the request's Tus-Resumable is not {VERSION}")


def number(headers: Mapping[str, str], name: str) -> int | None:
    """The header's number; raises InvalidRequest for what is none."""
    value = headers.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise InvalidRequest(f"{name} is a whole number of bytes")
    return int(value)


def required_offset(headers: Mapping[str, str]) -> int:
    offset = number(headers, "Upload-Offset")
    if offset is None:
        raise InvalidRequest("the request names no Upload-Offset")
    return offset


def announced_size(headers: Mapping[str, str], max_bytes: int) -> int | None:
    """`Upload-Length`; raises ContentTooLarge above the limit."""
    size = number(headers, "Upload-Length")
    if size is not None and size > max_bytes:
        raise too_large(max_bytes)
    return size


def too_large(max_bytes: int) -> ContentTooLarge:
    return ContentTooLarge(
        f"the limit is {max_bytes} bytes",
        remedy="Split the file, or ask the operator to raise MUNIMENT_API__MAX_UPLOAD_BYTES.",
    )


def creation(headers: Mapping[str, str], max_bytes: int) -> Creation:
    """Raises InvalidRequest and ContentTooLarge."""
    size = announced_size(headers, max_bytes)
    deferred = headers.get("upload-defer-length")
    described = headers.get("upload-metadata", "")
    concatenation = headers.get("upload-concat", "").strip()
    partials: tuple[UUID, ...] = ()
    if concatenation.startswith(FINAL):
        if size is not None or deferred is not None:
            raise InvalidRequest("a final upload is as long as its partial ones: name no length")
        partials = _partials(concatenation.removeprefix(FINAL))
        return Creation(None, described, concatenation, partials)
    if concatenation not in ("", PARTIAL):
        raise InvalidRequest("Upload-Concat is `partial`, or `final;` and the partial uploads")
    if deferred not in (None, "1") or (size is None) == (deferred is None):
        raise InvalidRequest("name either the Upload-Length or `Upload-Defer-Length: 1`")
    return Creation(size, described, concatenation, partials)


def _partials(listed: str) -> tuple[UUID, ...]:
    """The ids at the ends of the addresses, which may be relative or not."""
    addresses = listed.split()
    if not 1 <= len(addresses) <= MAX_PARTIALS:
        raise InvalidRequest(f"a final upload is joined from 1 to {MAX_PARTIALS} partial ones")
    try:
        return tuple(UUID(address.rstrip("/").rpartition("/")[2]) for address in addresses)
    except ValueError:
        raise InvalidRequest("Upload-Concat names what is no upload") from None


def require_piece(headers: Mapping[str, str]) -> None:
    """Raises UnsupportedMediaType unless the body is a piece of a file, as it is."""
    if headers.get("content-type", "").strip().lower() != PIECE_TYPE:
        raise UnsupportedMediaType(
            f"the body's type is not {PIECE_TYPE}", remedy=f"Send `Content-Type: {PIECE_TYPE}`."
        )
    if headers.get("content-encoding", "identity") != "identity":
        raise UnsupportedMediaType(
            "the body has a content coding", remedy="Send the bytes as they are, uncompressed."
        )


class Checksum:
    """`Upload-Checksum` of one request, verified while its body streams by."""

    def __init__(self, algorithm: str, expected: bytes) -> None:
        # Against accidents on the way: sha1 has to be there, and TLS keeps out who means harm.
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self._algorithm = algorithm
        self._expected = expected

    async def watch(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks."""
        async for chunk in chunks:
            self._hash.update(chunk)
            yield chunk

    def require_match(self) -> None:
        """Raises ChecksumMismatch; ask after the stream's end."""
        if self._hash.digest() != self._expected:
            raise ChecksumMismatch(
                f"the bytes do not have the announced {self._algorithm} checksum"
            )


def announced_checksum(headers: Mapping[str, str]) -> Checksum | None:
    """Raises InvalidRequest for an algorithm that is not known, and for a malformed one."""
    value = headers.get("upload-checksum")
    if value is None:
        return None
    algorithm, _, encoded = value.strip().partition(" ")
    if algorithm not in CHECKSUM_ALGORITHMS:
        raise InvalidRequest(
            f"Upload-Checksum's algorithm is none of {', '.join(CHECKSUM_ALGORITHMS)}"
        )
    try:
        expected = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidRequest("Upload-Checksum is not in base64") from None
    if len(expected) != hashlib.new(algorithm, usedforsecurity=False).digest_size:
        raise InvalidRequest(f"Upload-Checksum has the wrong length for {algorithm}")
    return Checksum(algorithm, expected)


def offset_headers(upload: Upload) -> dict[str, str]:
    """How far it has come, until when it waits, and which file it became."""
    headers = {
        "Upload-Offset": str(upload.received),
        "Upload-Expires": format_datetime(upload.expires_at.astimezone(UTC), usegmt=True),
    }
    if upload.file_id is not None:
        headers[FILE_HEADER] = str(upload.file_id)
    return headers


def state_headers(upload: Upload) -> dict[str, str]:
    """All that HEAD tells."""
    headers = offset_headers(upload)
    if upload.size is None:
        headers["Upload-Defer-Length"] = "1"
    else:
        headers["Upload-Length"] = str(upload.size)
    if upload.described:
        headers["Upload-Metadata"] = upload.described
    if upload.concatenation:
        headers["Upload-Concat"] = upload.concatenation
    return headers

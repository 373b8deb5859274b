"""`Content-Digest` and `Repr-Digest` (RFC 9530), verified while the bytes stream by."""

import base64
import binascii
import hashlib
import re
from collections.abc import AsyncGenerator, AsyncIterable, Mapping

from muniment.errors import DigestMismatch, InvalidRequest

FIELDS = ("content-digest", "repr-digest")
_HASHES = {"sha-256": hashlib.sha256, "sha-512": hashlib.sha512}
_MEMBER = re.compile(r"\s*([a-z*][a-z0-9_.*-]*)\s*=\s*:([A-Za-z0-9+/=]*):\s*")


def announced_digests(headers: Mapping[str, str]) -> list[tuple[str, bytes]]:
    """The sha-256 and sha-512 digests that the header fields announce; other algorithms are left
    out, as the RFC allows. Raises InvalidRequest for a field that is malformed (RFC 8941)."""
    found = []
    for name in FIELDS:
        value = headers.get(name)
        if value is None:
            continue
        for member in value.split(","):
            match = _MEMBER.fullmatch(member)
            if match is None:
                raise InvalidRequest(f"the {name} field is malformed")
            if match[1] in _HASHES:
                found.append((match[1], _decoded(name, match[1], match[2])))
    return found


def _decoded(field: str, algorithm: str, encoded: str) -> bytes:
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise InvalidRequest(f"the {field} field is malformed") from None
    if len(digest) != _HASHES[algorithm]().digest_size:
        raise InvalidRequest(f"the {field} field's {algorithm} digest has the wrong length")
    return digest


class StreamDigests:
    """Hashes a stream with the algorithms that were announced for it, and no others."""

    def __init__(self, announced: list[tuple[str, bytes]]) -> None:
        self.announced = announced
        self._hashes = {algorithm: _HASHES[algorithm]() for algorithm, _ in announced}

    async def watch(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        """The same chunks."""
        async for chunk in chunks:
            for digest in self._hashes.values():
                digest.update(chunk)
            yield chunk

    def mismatches(self) -> list[tuple[str, bytes]]:
        """What was announced and did not come; ask after the stream's end."""
        return [
            (algorithm, expected)
            for algorithm, expected in self.announced
            if self._hashes[algorithm].digest() != expected
        ]


def require_match(whole: StreamDigests, file: StreamDigests | None = None) -> None:
    """Raises DigestMismatch unless every announced digest fits the body, or the file in it.

    In a multipart request the fields stand for the multipart body; clients that compute them over
    the file alone are understood too, since that proves the same.
    """
    missing = whole.mismatches()
    if file is not None:
        also_missing = file.mismatches()
        missing = [announced for announced in missing if announced in also_missing]
    if missing:
        algorithms = ", ".join(sorted({algorithm for algorithm, _ in missing}))
        raise DigestMismatch(f"the content does not have the announced {algorithms} digest")

"""Uploads in one request, which nothing is kept of when it breaks off: for what is sent in a moment."""

import base64
import hashlib
import uuid
from collections.abc import Mapping
from typing import BinaryIO

import httpx

from muniment.client.actions import Flow
from muniment.client.building import segment
from muniment.client.models import File
from muniment.client.parsing import read_model
from muniment.client.protocol import Protocol
from muniment.client.upload import ProgressCallback, Upload

_DIGEST_BLOCK_BYTES = 1024 * 1024


def send_whole(protocol: Protocol, upload: Upload, content: BinaryIO) -> Flow[File]:
    """Safe to repeat by its Idempotency-Key, so a broken connection or a busy API is tried again from
    the first byte."""
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    if upload.verify:
        headers["Repr-Digest"] = _repr_digest(content)

    def build() -> httpx.Request:
        return _request(protocol, upload, content, headers)

    response = yield from protocol.exchange(build, repeatable=True, keyed=True)
    return read_model(File)(response)


def _request(
    protocol: Protocol, upload: Upload, content: BinaryIO, headers: Mapping[str, str]
) -> httpx.Request:
    counted = _Counted(content, upload.progress)
    part = (upload.file_name, counted, upload.sent_media_type)
    whole = upload.version_of
    return protocol.request(
        "POST",
        "/v1/files" if whole is None else f"/v1/files/{segment(whole)}/versions",
        fields=upload.fields(),
        files=[("file", part)],
        headers=headers,
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

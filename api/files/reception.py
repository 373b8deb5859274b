"""Receives an upload: its bytes go from the socket into the sealed store, its fields are checked.

Whoever calls owns what was stored: it is recorded in the database, or discarded.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from fastapi import Request
from pydantic import ValidationError

from api.files.digests import StreamDigests, announced_digests, require_match
from api.files.multipart import FormPart, MultipartForm, boundary_of
from api.files.passwords import PASSWORD_HEADER
from api.files.schemas import UploadFields
from api.idempotency import hash_of
from api.problems import field_errors
from db.queries.uploads import Room
from muniment.contracts.media_types import UNKNOWN_MEDIA_TYPE
from muniment.errors import (
    ContentTooLarge,
    InvalidRequest,
    Unprocessable,
    UnsupportedMediaType,
    WrongField,
)
from muniment.objects import BlobStore, SealedBlob

FILE_PART = "file"
MAX_FIELD_BYTES = 64 * 1024
MULTIPART_OVERHEAD_BYTES = 1024 * 1024
"""How much longer than its file a multipart body may be: its fields and its boundaries."""

PASSWORD_IN_ADDRESS = (
    "addresses are logged on their way: send the password as the field of a multipart body, or in"
    f" the header {PASSWORD_HEADER}"
)
POLICY_REFUSED = "this release sets policies by its settings, not by upload"


@dataclass(frozen=True)
class Content:
    """The bytes that came. `sealed` is null when they were only hashed."""

    size: int
    sha256: bytes
    sealed: SealedBlob | None


Sink = Callable[[AsyncIterable[bytes]], Awaitable[Content]]
"""Takes a file's bytes to their end."""
FieldsOf = Callable[[dict[str, str]], UploadFields]
"""The fields out of those that came, checked. Raises Unprocessable."""


@dataclass(frozen=True)
class Received:
    """A complete upload whose digests fit."""

    fields: UploadFields
    media_type: str
    content: Content

    def request_hash(self, password_tag: bytes) -> bytes:
        """What tells two uploads apart under one idempotency key."""
        fields = self.fields.model_dump_json()
        return hash_of(self.content.sha256, self.media_type, fields, password_tag)


def storing(blobs: BlobStore, tenant_id: UUID) -> Sink:
    """Seals the bytes as a new blob; a failure leaves nothing behind."""

    async def store(chunks: AsyncIterable[bytes]) -> Content:
        sealed = await blobs.put(tenant_id, chunks)
        return Content(sealed.size, sealed.sha256, sealed)

    return store


async def hashing(chunks: AsyncIterable[bytes]) -> Content:
    """Only hashes the bytes: for a repetition, whose answer is known."""
    digest, size = hashlib.sha256(), 0
    async for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return Content(size, digest.digest(), None)


class Reception:
    """Receives one request. `content` is set as soon as the bytes are stored, so that a caller can
    discard them when what follows them turns out to be wrong."""

    def __init__(
        self,
        request: Request,
        sink: Sink,
        max_bytes: int,
        default_name: str | None = None,
        room: Room | None = None,
        fields_of: FieldsOf | None = None,
    ) -> None:
        """`room` is given for content whose length the request does not announce, `fields_of` where the
        fields are others than `upload_fields` takes."""
        self._request = request
        self._sink = sink
        self._max_bytes = max_bytes
        self._default_name = default_name
        self._room = room
        self._fields_of = fields_of or upload_fields
        self.content: Content | None = None

    async def receive(self) -> Received:
        """Raises InvalidRequest, Unprocessable, ContentTooLarge, QuotaExceeded, UnsupportedMediaType, or
        DigestMismatch; and what the store raises."""
        if self._request.headers.get("content-encoding", "identity") != "identity":
            raise UnsupportedMediaType(
                "the body has a content coding", remedy="Send the bytes as they are, uncompressed."
            )
        content_type = self._request.headers.get("content-type", "")
        boundary = boundary_of(content_type)
        self._check_announced_length(0 if boundary is None else MULTIPART_OVERHEAD_BYTES)
        if boundary is None:
            return await self._receive_raw(content_type)
        return await self._receive_form(boundary)

    def _check_announced_length(self, overhead: int) -> None:
        announced = self._request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > self._max_bytes + overhead:
            raise self._too_large()

    def _too_large(self) -> ContentTooLarge:
        return ContentTooLarge(
            f"the limit is {self._max_bytes} bytes",
            remedy="Split the file, or ask the operator to raise MUNIMENT_API__MAX_UPLOAD_BYTES.",
        )

    async def _receive_raw(self, content_type: str) -> Received:
        # The fields come first here, so that a wrong one costs no transfer.
        fields = self._fields(self._raw_fields())
        digests = StreamDigests(announced_digests(self._request.headers))
        limited = self._limited(self._request.stream(), {**self._request.query_params})
        async with aclosing(digests.watch(limited)) as chunks:
            self.content = await self._sink(chunks)
        require_match(digests)
        return Received(fields, plain_media_type(content_type), self.content)

    def _raw_fields(self) -> dict[str, str]:
        raw = dict(self._request.query_params)
        if "password" in raw:
            detail = PASSWORD_IN_ADDRESS
            raise Unprocessable(detail, errors=[_wrong("password", detail)])
        if password := self._request.headers.get(PASSWORD_HEADER):
            raw["password"] = password
        return raw

    async def _receive_form(self, boundary: bytes) -> Received:
        whole = StreamDigests(announced_digests(self._request.headers))
        raw: dict[str, str] = {}
        media_type, filename, file_digests = UNKNOWN_MEDIA_TYPE, None, None
        async with (
            aclosing(whole.watch(self._request.stream())) as chunks,
            aclosing(MultipartForm(chunks, boundary).parts()) as parts,
        ):
            async for part in parts:
                if part.name != FILE_PART:
                    await _keep_field(raw, part)
                    continue
                if self.content is not None:
                    raise InvalidRequest("the body has more than one file")
                file_digests = StreamDigests(
                    announced_digests(self._request.headers) + announced_digests(part.headers)
                )
                media_type, filename = plain_media_type(part.media_type), part.filename
                so_far = {"name": last_component(filename or ""), **raw}
                limited = self._limited(part.chunks, so_far)
                self.content = await self._sink(file_digests.watch(limited))
        if self.content is None or file_digests is None:
            raise InvalidRequest(f"the body has no part named {FILE_PART}")
        _require_digests(whole, file_digests)
        if filename and not raw.get("name"):
            raw["name"] = last_component(filename)
        return Received(self._fields(raw), media_type, self.content)

    def _fields(self, raw: dict[str, str]) -> UploadFields:
        if self._default_name is not None and not raw.get("name"):
            raw["name"] = self._default_name
        return self._fields_of(raw)

    async def _limited(
        self, chunks: AsyncIterable[bytes], fields: Mapping[str, str]
    ) -> AsyncGenerator[bytes, None]:
        received = 0
        async for chunk in chunks:
            received += len(chunk)
            if received > self._max_bytes:
                raise self._too_large()
            if self._room is not None:
                await self._room.require(received, fields)
            yield chunk


def announced_content_size(headers: Mapping[str, str]) -> int | None:
    """How many bytes of content a request brings, as its head says; None where it does not say, as
    of a form, which names its file within its body, too."""
    announced = headers.get("content-length", "")
    return int(announced) if announced.isdigit() and not is_form(headers) else None


def is_form(headers: Mapping[str, str]) -> bool:
    return boundary_of(headers.get("content-type", "")) is not None


def _require_digests(whole: StreamDigests, file: StreamDigests) -> None:
    """The request's fields fit the body or the file; the part's own fit the file."""
    announced_for_request = {*whole.announced}
    wrong_parts = [each for each in file.mismatches() if each not in announced_for_request]
    require_match(whole, file)
    if wrong_parts:
        require_match(file)


async def _keep_field(raw: dict[str, str], part: FormPart) -> None:
    if part.name in raw:
        raise InvalidRequest(f"the field {part.name} comes twice")
    raw[part.name] = await part.text(MAX_FIELD_BYTES)


def upload_fields(raw: dict[str, str]) -> UploadFields:
    """The checked fields. Raises Unprocessable naming what is wrong, never its value."""
    if raw.pop("policy", None):
        raise Unprocessable(POLICY_REFUSED, errors=[_wrong("policy", POLICY_REFUSED)])
    values: dict[str, object] = {name: value for name, value in raw.items() if value != ""}
    if "metadata" in values:
        values["metadata"] = _json_object("metadata", raw["metadata"])
    try:
        return UploadFields.model_validate(values)
    except ValidationError as error:
        raise Unprocessable(
            "some fields are missing or wrong; `errors` names them",
            errors=field_errors(error.errors(include_input=False)),
        ) from None


def _json_object(field: str, value: str) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise Unprocessable(
            f"{field} is not valid JSON", errors=[_wrong(field, "must be a JSON object")]
        ) from None


def _wrong(field: str, detail: str) -> WrongField:
    return {"field": field, "detail": detail}


def plain_media_type(content_type: str | None) -> str:
    """The type without its parameters; what is no media type at all counts as unknown."""
    declared = (content_type or "").partition(";")[0].strip().lower()
    kind, slash, name = declared.partition("/")
    fits = bool(kind and slash and name) and declared.isascii() and declared.isprintable()
    return declared if fits and " " not in declared and len(declared) <= 127 else UNKNOWN_MEDIA_TYPE


def last_component(filename: str) -> str:
    """A file's name without the folders that some browsers send along (RFC 7578, 4.2)."""
    return filename.replace("\\", "/").rstrip("/").rpartition("/")[2]

"""Uploads that go on where they broke off: tus 1.0.0 (https://tus.io/protocols/resumable-upload)."""

import base64
import hashlib
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import BinaryIO

import httpx

from muniment.client.actions import Exchange, Flow, Pause
from muniment.client.building import segment
from muniment.client.models import File, Record
from muniment.client.parsing import parse_model
from muniment.client.problems import UnexpectedAnswer, problem_of
from muniment.client.protocol import Protocol
from muniment.client.resources.files import get_file
from muniment.client.retry import retry_after_seconds
from muniment.client.upload import ProgressCallback, Upload, stamp_of
from muniment.errors import InvalidRequest, MunimentError

_VERSION = {"Tus-Resumable": "1.0.0"}
_UPLOADS = "/v1/uploads"
_PASSWORD_HEADER = "X-Document-Password"  # noqa: S105 - the name of a header
_PIECE_BYTES = 64 * 1024 * 1024
"""What one request carries: an API that refuses it tells so only when all of it was sent."""
_CHECKED_PIECE_BYTES = 16 * 1024 * 1024
"""What one checksum covers, and so what a break costs of an upload that is verified."""
_BLOCK_BYTES = 256 * 1024
_SLOWEST_JOINING = 20_000_000
"""Bytes a second: before it answers the last piece, the API makes one file of all of them."""
_LONGEST_METADATA = 32 * 1024
"""Of a request's head, which an API takes 64 KiB of."""
_RESUMED = frozenset({408, 409, 429, 460, 502, 503, 504})
"""Answers after which the API is asked how far the upload has come: it may go on from there."""


class _Created(Record):
    id: uuid.UUID


@dataclass(frozen=True)
class _Reached:
    """How far an upload has come, and the file that it became."""

    offset: int
    file_id: str | None


@dataclass(frozen=True)
class _Interruption:
    """Why a request did not go through, and how long the API wants to be left alone. `is_conflict`:
    an earlier request, whose answer was lost, may still be making the file."""

    error: MunimentError
    retry_after_seconds: float | None = None
    is_conflict: bool = False


def is_sendable(upload: Upload) -> bool:
    """Whether everything that is said of the file fits into headers: a form takes more than they."""
    password = upload.password or ""
    is_plain = password.isascii() and password.isprintable() and password == password.strip()
    return is_plain and len(_metadata(upload)) <= _LONGEST_METADATA


def send_resumably(protocol: Protocol, upload: Upload, content: BinaryIO, size: int) -> Flow[File]:
    """What the API has acknowledged is not sent again, however often the connection breaks; gives up
    when nothing more arrives for `Retry.resumes_within_seconds`. The file, which the key must be
    allowed to read, does not say whether it was there already.

    Raises InvalidRequest when the content changes while it is sent.
    """
    creation_headers = _creation_headers(upload, size)
    created = yield from protocol.exchange(
        lambda: protocol.request("POST", _UPLOADS, headers=creation_headers),
        repeatable=True,
        keyed=True,
    )
    sending = _Sending(protocol, upload, content, size, parse_model(_Created, created.content).id)
    try:
        file_id = yield from sending.to_the_end(_reached(created))
    except MunimentError:
        yield from sending.terminate()
        raise
    return (yield from protocol.call(get_file(file_id)))


class _Sending:
    def __init__(
        self,
        protocol: Protocol,
        upload: Upload,
        content: BinaryIO,
        size: int,
        upload_id: uuid.UUID,
    ) -> None:
        self._protocol = protocol
        self._upload = upload
        self._content = content
        self._size = size
        self._path = f"{_UPLOADS}/{segment(upload_id)}"
        self._stamp = stamp_of(content)
        self._failures = 0
        self._waited_seconds = 0.0

    def to_the_end(self, reached: _Reached) -> Flow[str]:
        """The id of the file."""
        while reached.file_id is None:
            before = reached.offset
            if before > self._size:
                raise UnexpectedAnswer("the upload has come further than its content")
            request = self._piece(before)
            answer = yield from self._attempt(request)
            while isinstance(answer, _Interruption):
                yield from self._wait(answer)
                answer = yield from self._attempt(self._question())
            reached = answer
            if reached.offset > before:
                self._failures, self._waited_seconds = 0, 0.0
        return reached.file_id

    def terminate(self) -> Flow[None]:
        """Tries to: what is not finished counts against the tenant until it expires."""
        try:
            yield Exchange(self._protocol.request("DELETE", self._path, headers=_VERSION))
        except httpx.TransportError:
            return

    def _attempt(self, request: httpx.Request) -> Flow[_Reached | _Interruption]:
        """Raises ApiProblem for an answer after which nothing can go on."""
        action = Exchange(request)
        try:
            yield action
        except httpx.TransportError as error:
            return _Interruption(self._protocol.unreachable(error))
        response = action.response
        if response.status_code < HTTPStatus.BAD_REQUEST:
            return _reached(response)
        problem = problem_of(response)
        if response.status_code not in _RESUMED:
            raise problem
        is_conflict = response.status_code == HTTPStatus.CONFLICT
        return _Interruption(problem, retry_after_seconds(response), is_conflict)

    def _wait(self, interruption: _Interruption) -> Flow[None]:
        """Raises the error when enough was waited for any progress."""
        retry = self._protocol.retry
        patience = retry.resumes_within_seconds
        if interruption.is_conflict:
            patience += self._size / _SLOWEST_JOINING
        if self._waited_seconds >= patience:
            raise interruption.error
        self._failures += 1
        wanted = min(interruption.retry_after_seconds or 0, retry.longest_retry_after_seconds)
        delay = max(retry.delay(self._failures), wanted)
        self._waited_seconds += delay
        yield Pause(delay)

    def _piece(self, offset: int) -> httpx.Request:
        """What follows the offset."""
        if self._upload.verify:
            end = min(self._size, offset + _CHECKED_PIECE_BYTES)
            checksum = {"Upload-Checksum": self._checksum(offset, end)}
        else:
            end, checksum = min(self._size, offset + _PIECE_BYTES), {}
        self._require_unchanged()
        password = self._upload.password
        return self._protocol.request(
            "PATCH",
            self._path,
            stream=_Slice(self._content, offset, end, self._upload.progress),
            headers={
                **_VERSION,
                **checksum,
                **({_PASSWORD_HEADER: password} if password is not None else {}),
                "Host": httpx.URL(self._protocol.base_url).netloc.decode("ascii"),
                "Content-Type": "application/offset+octet-stream",
                "Content-Length": str(end - offset),
                "Upload-Offset": str(offset),
            },
            read_timeout_seconds=self._protocol.timeout_seconds + self._size / _SLOWEST_JOINING,
        )

    def _question(self) -> httpx.Request:
        return self._protocol.request("HEAD", self._path, headers=_VERSION)

    def _require_unchanged(self) -> None:
        """Else pieces of two contents would make a file that never was."""
        if stamp_of(self._content) != self._stamp:
            raise InvalidRequest(
                "the content changed while it was sent", remedy="Send it once it is complete."
            )

    def _checksum(self, offset: int, end: int) -> str:
        digest = hashlib.sha256()
        for block in _Slice(self._content, offset, end, None):
            digest.update(block)
        return f"sha256 {base64.b64encode(digest.digest()).decode()}"


class _Slice(httpx.SyncByteStream, httpx.AsyncByteStream):
    """Bytes of a file from `start` to `end`, for clients of both kinds; tells how far it was read."""

    def __init__(
        self, content: BinaryIO, start: int, end: int, progress: ProgressCallback | None
    ) -> None:
        self._content = content
        self._start = start
        self._end = end
        self._progress = progress

    def __iter__(self) -> Iterator[bytes]:
        position = self._start
        self._content.seek(position)
        while position < self._end:
            block = self._content.read(min(_BLOCK_BYTES, self._end - position))
            if not block:
                raise InvalidRequest("the content became shorter while it was sent")
            position += len(block)
            if self._progress is not None:
                self._progress(position)
            yield block

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for block in self:
            yield block


def _creation_headers(upload: Upload, size: int) -> dict[str, str]:
    headers = {
        **_VERSION,
        "Idempotency-Key": str(uuid.uuid4()),
        "Upload-Length": str(size),
        "Upload-Metadata": _metadata(upload),
    }
    if size == 0 and upload.password is not None:
        headers[_PASSWORD_HEADER] = upload.password
    return headers


def _metadata(upload: Upload) -> str:
    """Without the password, which is not kept: the last piece carries it."""
    described = {"filetype": upload.sent_media_type, **upload.fields()}
    described.pop("password", None)
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in described.items()
    )


def _reached(response: httpx.Response) -> _Reached:
    """By the headers that every answer of an upload has."""
    offset = response.headers.get("Upload-Offset", "")
    if not offset.isdecimal():
        raise UnexpectedAnswer("it does not say how far the upload has come")
    return _Reached(int(offset), response.headers.get("Muniment-File"))

"""Objects in an S3 bucket, through the `minio` client (any S3 server).

The client blocks, so its calls run in threads of the store's own; a thread is held for one request
at a time, never while a slow uploader is waited for, and is waited for no longer than a limit. Objects
of up to one part are put in a single request, larger ones in parts that are aborted when the upload
fails.
"""

import asyncio
import hashlib
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from io import BytesIO
from itertools import islice
from typing import ParamSpec, TypeVar

import urllib3
from minio import Minio
from minio.commonconfig import CopySource
from minio.datatypes import Object, Part
from minio.error import InvalidResponseError, MinioException, S3Error, ServerError
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from muniment.errors import (
    ContentInRetrieval,
    ContentTooLarge,
    ObjectMissing,
    ObjectStoreUnavailable,
    StorageFull,
)
from muniment.objects.interface import (
    PAGE_KEYS,
    READ_CHUNK_BYTES,
    Retrieval,
    StoredObject,
    require_key,
)
from muniment.objects.s3_archive import (
    CLASS_HEADER,
    COPIED_BYTES,
    Headers,
    S3Placement,
    retrieval_of,
)
from muniment.objects.s3_requests import PiecewiseRequests, RetriesUnlessSilent
from muniment.transport import TlsSettings, refusal_of

S3_TLS = TlsSettings(
    "the S3 server",
    authorities="MUNIMENT_OBJECTS__CA_FILE (of the cold store: MUNIMENT_COLD_STORE__CA_FILE)",
    address="MUNIMENT_OBJECTS__ENDPOINT (of the cold store: MUNIMENT_COLD_STORE__ENDPOINT)",
    identity="(the S3 API is called with keys, without certificates)",
)
PART_BYTES = 8 * 1024 * 1024
"""The size of the first parts; S3 takes none below 5 MiB but the last."""
PARTS_BEFORE_DOUBLING = 2_500
MAX_PARTS = 10_000
"""S3's limit: with doubling, an object may hold 293 GiB."""
ACCEPTED = 202
PROBE = ".probe"
"""What `probe` writes; no key can name it, and `list` leaves it out."""
INSUFFICIENT_STORAGE = 507
FULL = frozenset({"InsufficientStorage", "QuotaExceeded", "XMinioStorageFull"})
"""What S3 servers call a full disk or a bucket that may hold no more: the Versity gateway, Ceph, MinIO."""

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class S3Limits:
    """How long a request may take, how often it is tried, how many run at once, and for how long
    others wait for one of these to end."""

    connect_timeout_seconds: float = 5.0
    read_timeout_seconds: float = 30.0
    retries: int = 2
    concurrent_requests: int = 16
    turn_timeout_seconds: float = 120.0


def connect_s3(
    endpoint: str,
    access_key: str,
    secret_key: str,
    *,
    secure: bool = True,
    region: str = "us-east-1",
    limits: S3Limits | None = None,
    tls: ssl.SSLContext | None = None,
) -> Minio:
    """A client with time-outs and bounded retries. `endpoint` is host and port, without scheme.
    Without `tls` it trusts the public authorities.

    Nothing is sent yet: a fixed region spares the request that would ask for it.
    """
    limits = limits or S3Limits()
    pool = PiecewiseRequests(
        timeout=urllib3.Timeout(
            connect=limits.connect_timeout_seconds, read=limits.read_timeout_seconds
        ),
        maxsize=limits.concurrent_requests,
        ssl_context=tls,
        retries=RetriesUnlessSilent(
            total=limits.retries, backoff_factor=0.2, status_forcelist=(500, 502, 503, 504)
        ),
    )
    return Minio(endpoint, access_key, secret_key, secure=secure, region=region, http_client=pool)


class S3ObjectStore:
    """`ObjectStore` on one bucket, below `prefix` (empty, or ending with `/`)."""

    def __init__(
        self,
        client: Minio,
        bucket: str,
        prefix: str = "",
        limits: S3Limits | None = None,
        placement: S3Placement | None = None,
    ) -> None:
        if prefix:
            require_key(prefix.removesuffix("/"))
        limits = limits or S3Limits()
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._placement = placement or S3Placement()
        self._threads = ThreadPoolExecutor(limits.concurrent_requests, "s3")
        self._turns = asyncio.Semaphore(limits.concurrent_requests)
        self._turn_timeout_seconds = limits.turn_timeout_seconds

    async def put(self, key: str, chunks: AsyncIterable[bytes]) -> None:
        name = self._prefix + require_key(key)
        parts = _Parts(chunks)
        first = await parts.next_part()
        if parts.ended:
            await self._put_whole(name, first, self._placement.put_headers())
        else:
            await self._put_in_parts(name, first, parts)

    async def read(
        self, key: str, offset: int = 0, length: int | None = None
    ) -> AsyncGenerator[bytes, None]:
        if length == 0:
            await self.stat(key)
            return
        response = await self._call(self._open, key, offset, length or 0)
        if response is None:
            return
        try:
            while chunk := await self._call(response.read, READ_CHUNK_BYTES):
                yield chunk
        finally:
            # Closed, not drained: what was not asked for is not transferred.
            response.close()
            response.release_conn()

    async def stat(self, key: str) -> StoredObject:
        return self._stored_object(await self._call(self._head, key))

    async def delete(self, key: str) -> None:
        await self._call(self._remove, self._prefix + require_key(key))

    async def archive(self, key: str) -> None:
        if not self._placement.storage_class.is_archive:
            return
        found = await self.stat(key)
        if found.retrieval is not Retrieval.READABLE:
            return
        await self._copy_in_place(key, found.size_bytes)
        archived = await self.stat(key)
        if archived.retrieval is Retrieval.READABLE or archived.size_bytes != found.size_bytes:
            raise ObjectStoreUnavailable(
                "the S3 server did not put an object into its archive",
                remedy="Take a MUNIMENT_COLD_STORE__STORAGE_CLASS that this server has.",
            )

    async def retrieve(self, key: str) -> None:
        if (await self.stat(key)).retrieval is Retrieval.ARCHIVED:
            await self._call(self._restore, key)

    async def probe(self) -> None:
        await self._put_whole(self._prefix + PROBE, b"probe", {})
        await self._call(self._remove, self._prefix + PROBE)

    async def sweep_abandoned(self, older_than: datetime) -> int:
        return await self._call(self._abort_older_uploads, older_than)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)
        self._client._http.clear()

    async def list(self, prefix: str = "") -> AsyncIterator[tuple[StoredObject, ...]]:
        found = iter(self._client.list_objects(self._bucket, self._prefix + prefix, recursive=True))
        while page := await self._call(self._next_page, found):
            yield page

    async def _put_whole(self, name: str, content: bytes, headers: Headers) -> None:
        body = BytesIO(content)
        await self._call(
            self._client.put_object, self._bucket, name, body, len(content), metadata=headers
        )

    # The client's own multipart upload pulls from a blocking stream, which would hold a thread for
    # as long as an upload lasts. So these methods call the requests behind it, which the client
    # does not export; the conformance suite notices when a release moves them.

    async def _put_in_parts(self, name: str, first: bytes, parts: "_Parts") -> None:
        async with self._multipart(name, self._placement.put_headers()) as upload:
            content = first
            while content:
                number = upload.next_number
                etag = await self._call(
                    self._client._upload_part, self._bucket, name, content, {}, upload.id, number
                )
                upload.sent.append(Part(number, etag))
                content = await parts.next_part()

    @asynccontextmanager
    async def _multipart(self, name: str, headers: Headers) -> AsyncIterator["_Multipart"]:
        """The object is there when the block has ended; nothing of it when it raised or was cancelled."""
        upload_id = await self._call(
            self._client._create_multipart_upload, self._bucket, name, headers
        )
        upload = _Multipart(upload_id)
        try:
            yield upload
            await self._call(
                self._client._complete_multipart_upload, self._bucket, name, upload_id, upload.sent
            )
        except BaseException:
            abort = self._call(self._client._abort_multipart_upload, self._bucket, name, upload_id)
            # If it cannot be aborted now, the sweep does it; the first error is the one to report.
            with suppress(ObjectStoreUnavailable):
                await asyncio.shield(abort)
            raise

    async def _copy_in_place(self, key: str, size_bytes: int) -> None:
        """S3 has no other way to give an object another class. The bytes stay within the server, and until
        the last of them the object is as it was. A request copies one piece: a cancelled caller waits
        for no more than that."""
        headers: Headers = {CLASS_HEADER: self._placement.storage_class.value}
        if size_bytes <= COPIED_BYTES:
            await self._call(self._copy_whole, key, headers)
            return
        async with self._multipart(self._prefix + require_key(key), headers) as upload:
            for start in range(0, size_bytes, COPIED_BYTES):
                end = min(start + COPIED_BYTES, size_bytes)
                number = upload.next_number
                etag = await self._call(self._copy_piece, key, upload.id, number, start, end)
                upload.sent.append(Part(number, etag))

    def _abort_older_uploads(self, older_than: datetime) -> int:
        aborted = 0
        key_marker: str | None = None
        upload_marker: str | None = None
        while True:
            found = self._client._list_multipart_uploads(
                self._bucket,
                prefix=self._prefix,
                key_marker=key_marker,
                upload_id_marker=upload_marker,
            )
            for upload in found.uploads:
                started = upload.initiated_time
                if started is not None and started < older_than and upload.upload_id:
                    self._client._abort_multipart_upload(
                        self._bucket, upload.object_name, upload.upload_id
                    )
                    aborted += 1
            if not found.is_truncated:
                return aborted
            key_marker, upload_marker = found.next_key_marker, found.next_upload_id_marker

    def _head(self, key: str) -> Object:
        with _missing_as_ours(key):
            return self._client.stat_object(self._bucket, self._prefix + require_key(key))

    def _copy_whole(self, key: str, headers: Headers) -> None:
        name = self._prefix + require_key(key)
        with _missing_as_ours(key):
            source = CopySource(self._bucket, name)
            self._client.copy_object(self._bucket, name, source, metadata=headers)

    def _copy_piece(self, key: str, upload_id: str, number: int, start: int, end: int) -> str:
        """The bytes from `start` to before `end`, as that part; its ETag."""
        name = self._prefix + require_key(key)
        headers: Headers = {
            **CopySource(self._bucket, name).gen_copy_headers(),
            "x-amz-copy-source-range": f"bytes={start}-{end - 1}",
        }
        with _missing_as_ours(key):
            etag, _ = self._client._upload_part_copy(self._bucket, name, upload_id, number, headers)
        return etag

    def _restore(self, key: str) -> None:
        """Somebody else may have asked for it since it was looked at."""
        body = self._placement.restore_request()
        headers: Headers = {
            "Content-Type": "application/xml",
            "Content-MD5": b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode(),
        }
        try:
            self._client._execute(
                "POST",
                self._bucket,
                self._prefix + require_key(key),
                body=body,
                headers=headers,
                query_params={"restore": ""},
            )
        except InvalidResponseError as error:
            # To the client, which knows no such request, 202 is none of the answers of success.
            if error._code != ACCEPTED:
                raise
        except S3Error as error:
            if error.code not in {"RestoreAlreadyInProgress", "InvalidObjectState"}:
                raise

    def _open(self, key: str, offset: int, length: int) -> BaseHTTPResponse | None:
        """The response to read from; None when `offset` lies at or past the end."""
        name = self._prefix + require_key(key)
        try:
            with _missing_as_ours(key):
                return self._client.get_object(self._bucket, name, offset, length)
        except S3Error as error:
            if error.code == "InvalidRange":
                return None
            if error.code == "InvalidObjectState":
                raise ContentInRetrieval("the content lies in an archive") from None
            raise

    def _remove(self, name: str) -> None:
        try:
            self._client.remove_object(self._bucket, name)
        except S3Error as error:
            if error.code != "NoSuchKey":
                raise

    def _next_page(self, found: Iterator[Object]) -> tuple[StoredObject, ...]:
        visible = (entry for entry in found if entry.object_name != self._prefix + PROBE)
        return tuple(self._stored_object(entry) for entry in islice(visible, PAGE_KEYS))

    def _stored_object(self, found: Object) -> StoredObject:
        if found.object_name is None or found.size is None or found.last_modified is None:
            raise ObjectStoreUnavailable("the S3 server described an object incompletely")
        key = found.object_name.removeprefix(self._prefix)
        return StoredObject(
            key, found.size, found.last_modified, retrieval_of(found.metadata or {})
        )

    async def _call(
        self,
        function: Callable[ArgumentsT, ResultT],
        *arguments: ArgumentsT.args,
        **named: ArgumentsT.kwargs,
    ) -> ResultT:
        """Runs the request in a thread. A cancelled caller waits for the request to end first.

        Otherwise a part could arrive after its upload was aborted; the time-outs bound the wait.
        """
        await self._take_turn()
        loop = asyncio.get_running_loop()
        request = loop.run_in_executor(self._threads, partial(function, *arguments, **named))
        request.add_done_callback(lambda _: self._turns.release())
        with _store_errors():
            try:
                return await asyncio.shield(request)
            except asyncio.CancelledError:
                await asyncio.wait([request])
                _close_unread(request)
                raise

    async def _take_turn(self) -> None:
        """Waits until a thread is free. Behind requests that a silent server holds up, others would
        wait for one round of time-outs after another."""
        try:
            async with asyncio.timeout(self._turn_timeout_seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise ObjectStoreUnavailable(
                "the S3 server is too slow: other requests have been waiting for it for too long"
            ) from None


@dataclass(frozen=True)
class _Multipart:
    """A multipart upload that goes on, and the parts that S3 has of it."""

    id: str
    sent: list[Part] = field(default_factory=list)

    @property
    def next_number(self) -> int:
        return len(self.sent) + 1


class _Parts:
    """Joins chunks to parts; holds one part at most."""

    def __init__(self, chunks: AsyncIterable[bytes]) -> None:
        self._chunks = aiter(chunks)
        self._held = bytearray()
        self._count = 0
        self.ended = False

    async def next_part(self) -> bytes:
        """The next part; empty after the end. `ended` once the chunks are used up."""
        if self._count == MAX_PARTS and self._held:
            raise ContentTooLarge("the content is larger than one S3 object may be")
        size = PART_BYTES << (self._count // PARTS_BEFORE_DOUBLING)
        while len(self._held) <= size and not self.ended:
            try:
                self._held += await anext(self._chunks)
            except StopAsyncIteration:
                self.ended = True
        self._count += 1
        end = len(self._held) if self.ended and len(self._held) <= size else size
        part = bytes(memoryview(self._held)[:end])
        del self._held[:end]
        return part


def _close_unread(request: asyncio.Future[ResultT]) -> None:
    """Closes the response of a request whose caller is gone, so that its connection is not lost."""
    outcome: object = request.exception() or request.result()
    if isinstance(outcome, BaseHTTPResponse):
        outcome.close()


@contextmanager
def _store_errors() -> Iterator[None]:
    """Turns the client's and the connection's errors into ours, without what they quote."""
    try:
        yield
    except S3Error as error:
        if error.code in FULL or error.response.status == INSUFFICIENT_STORAGE:
            raise StorageFull(f"the S3 server has no space left: {error.code}") from error
        raise ObjectStoreUnavailable(f"the S3 server refused a request: {error.code}") from error
    except (ServerError, InvalidResponseError) as error:
        raise ObjectStoreUnavailable("the S3 server failed on a request") from error
    except (MinioException, HTTPError, OSError) as error:
        if (refusal := refusal_of(error)) is not None:
            raise ObjectStoreUnavailable(
                refusal.detail(S3_TLS), remedy=refusal.remedy(S3_TLS)
            ) from error
        raise ObjectStoreUnavailable(
            f"the S3 server cannot be reached: {type(error).__name__}"
        ) from error


@contextmanager
def _missing_as_ours(key: str) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code in {"NoSuchKey", "NoSuchObject"}:
            raise ObjectMissing(f"there is no object {key}") from None
        raise

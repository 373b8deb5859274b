"""Objects of an S3 bucket below a prefix."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import ParamSpec, TypeVar

from minio import Minio
from minio.datatypes import Object
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

from muniment.errors import Forbidden, ObjectMissing, SourceUnavailable
from muniment.objects.importing.interface import PAGE_OBJECTS, FoundObject, require_usable
from muniment.objects.interface import READ_CHUNK_BYTES
from muniment.transport import TlsSettings, refusal_of

SOURCE_TLS = TlsSettings(
    "the source's S3 server",
    authorities="`ca_file` in MUNIMENT_IMPORTS__SOURCES",
    address="`endpoint` in MUNIMENT_IMPORTS__SOURCES",
    identity="(the S3 API is called with keys, without certificates)",
)

_MISSING = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchVersion"})
_REFUSED = frozenset(
    {
        "AccessDenied", "AllAccessDisabled", "AuthorizationHeaderMalformed", "InvalidAccessKeyId",
        "InvalidBucketName", "InvalidObjectState", "NoSuchBucket", "PermanentRedirect",
        "SignatureDoesNotMatch",
    }
)  # fmt: skip
"""What a retry does not change (Amazon S3 API reference, error responses)."""
CONCURRENT_REQUESTS = 8
"""More batches than that import from one source at a time only by turns."""

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")


class S3ImportSource:
    """The bucket and the prefix are the operator's; a key is only ever appended to them. `prefix` is
    empty or ends with `/`.

    The client blocks, so its calls run in threads of the source's own: one that is slow holds up
    nothing else."""

    def __init__(self, client: Minio, bucket: str, prefix: str = "") -> None:
        self._client = client
        self._threads = ThreadPoolExecutor(CONCURRENT_REQUESTS, "s3-import")
        self._bucket = bucket
        self._prefix = prefix

    async def list(
        self, prefix: str, after: str | None
    ) -> AsyncGenerator[tuple[FoundObject, ...], None]:
        listed = iter(
            self._client.list_objects(
                self._bucket,
                self._prefix + prefix,
                recursive=True,
                start_after=self._prefix + after if after else None,
            )
        )
        while entries := await self._call(_page, listed):
            yield tuple(self._found(entry) for entry in entries)

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        name = self._prefix + require_usable(key)
        response: BaseHTTPResponse = await self._call(self._client.get_object, self._bucket, name)
        try:
            while chunk := await self._call(response.read, READ_CHUNK_BYTES):
                yield chunk
        finally:
            response.close()
            response.release_conn()

    async def probe(self) -> None:
        await self._call(self._client.bucket_exists, self._bucket)

    async def close(self) -> None:
        """Ends the threads; requests that have not begun are dropped."""
        await asyncio.to_thread(self._threads.shutdown, wait=True, cancel_futures=True)

    async def _call(
        self,
        request: Callable[ArgumentsT, ResultT],
        *arguments: ArgumentsT.args,
        **named: ArgumentsT.kwargs,
    ) -> ResultT:
        """In a thread; the client's errors become ours, without what they quote."""
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, partial(request, *arguments, **named)
            )
        except S3Error as error:
            if error.code in _MISSING:
                raise ObjectMissing("The object is no longer there.") from None
            if error.code in _REFUSED:
                raise Forbidden(f"The source refuses: {error.code}.") from None
            raise SourceUnavailable(f"The source failed: {error.code}.") from None
        except (MinioException, HTTPError, OSError) as error:
            if (refusal := refusal_of(error)) is not None:
                raise SourceUnavailable(
                    refusal.detail(SOURCE_TLS), remedy=refusal.remedy(SOURCE_TLS)
                ) from None
            raise SourceUnavailable(f"The source failed: {type(error).__name__}.") from None

    def _found(self, entry: Object) -> FoundObject:
        name = entry.object_name or ""
        return FoundObject(name.removeprefix(self._prefix), entry.size or 0)


def _page(listed: Iterator[Object]) -> tuple[Object, ...]:
    """Keys that end with `/` are how consoles draw folders: nothing is in them."""
    files = (entry for entry in listed if not (entry.object_name or "/").endswith("/"))
    return tuple(islice(files, PAGE_OBJECTS))

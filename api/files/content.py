"""`GET, HEAD /v1/files/{id}/content`: the bytes, opened segment by segment as they are sent."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID, uuid4

from fastapi import Request
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.authentication import Caller
from api.files.clearance import require_served
from api.files.disposition import attachment
from api.files.ranges import ByteRange, Unsatisfiable, parse_range
from api.files.retrieval import RETRIEVAL_HEADER
from api.files.scan_policy import ScanPolicy
from api.files.service import require_file, require_version
from api.problems import problem_response
from api.sending import Download, in_pieces
from api.services import Services
from db.audit import Act, record
from db.models import FileVersion
from db.queries.files import FileDetail
from db.queries.tiers import note_access
from muniment.errors import ContentInRetrieval, PreconditionFailed, RangeNotSatisfiable
from muniment.objects import BlobStore


@dataclass(frozen=True)
class Sealed:
    """Where the bytes lie, and what they are called; what has no name is shown, not saved."""

    tenant_id: UUID
    blob_id: UUID
    size: int
    sha256: bytes
    name: str | None
    media_type: str

    @property
    def entity_tag(self) -> str:
        """Strong: equal bytes have equal tags, whichever version they belong to."""
        return f'"{self.sha256.hex()}"'

    def headers(self) -> dict[str, str]:
        return {
            "ETag": self.entity_tag,
            "Accept-Ranges": "bytes",
            "Content-Disposition": attachment(self.name) if self.name else "inline",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "private, no-cache",
        }


async def download(
    request: Request, caller: Caller, services: Services, file_id: UUID, number: int | None
) -> Response:
    """The response to GET or HEAD. Raises NotFound, Conflict (trash, quarantine, scan), Gone,
    PreconditionFailed, and what reading the store raises."""
    async with services.database.transaction(caller.access, plans_once=True) as session:
        detail = await require_file(session, file_id)
        version = await require_version(session, detail, number)
        sealed = await original(session, caller, services.scans, detail, version, number)
        payload: dict[str, JsonValue] = {
            "version": version.number,
            "ranged": "range" in request.headers,
        }
        downloaded = caller.act("file.downloaded", "file", file_id, payload)
        is_cold = False
        if request.method == "GET":
            is_cold = bool(await note_access(session, [sealed.blob_id], [file_id]))
            if not is_cold and answer_without_content(request, sealed) is None:
                record(session, downloaded)
    response = await respond(request, services.blobs, sealed)
    if is_cold and isinstance(response, Download):
        await _record_opened(services, caller, downloaded, response)
    return response


async def _record_opened(
    services: Services, caller: Caller, downloaded: Act, response: Download
) -> None:
    """Cold content may have to be retrieved before any of it is sent: it was downloaded once it was
    opened."""
    try:
        async with services.database.transaction(caller.access) as session:
            record(session, downloaded)
    except BaseException:
        await response.body_pieces.aclose()
        raise


async def original(
    session: AsyncSession,
    caller: Caller,
    policy: ScanPolicy,
    detail: FileDetail,
    version: FileVersion,
    number: int | None,
) -> Sealed:
    """Where a version's bytes lie: under the file's name, unless it was asked for by its number.
    Raises Conflict and Gone when they are withheld from the caller."""
    await require_served(session, detail, version, caller, policy)
    return Sealed(
        caller.tenant_id,
        version.blob_id,
        version.size,
        version.sha256,
        version.name if number is not None else detail.file.name,
        version.media_type or version.declared_media_type,
    )


async def respond(request: Request, blobs: BlobStore, sealed: Sealed) -> Response:
    """The bytes, or what is said without any. HEAD has nothing retrieved from an archive, and says in
    `Muniment-Retrieval` how far that is."""
    answer = answer_without_content(request, sealed)
    if answer is not None:
        return answer
    if request.method == "HEAD":
        return await _head(blobs, sealed)
    ranges = parse_range(_applicable_range(request, sealed.entity_tag), sealed.size)
    if ranges is None:
        return await _whole(blobs, sealed)
    if len(ranges) == 1:
        return await _single(blobs, sealed, ranges[0])
    return await _multiple(blobs, sealed, ranges)


def answer_without_content(request: Request, sealed: Sealed) -> Response | None:
    """That it is unchanged, or that there is no such range; None where content is to leave. Conditions
    first (RFC 9110, 13.2.2), then ranges. Raises PreconditionFailed."""
    headers = request.headers
    tag = sealed.entity_tag
    if "if-match" in headers and not names_tag(headers["if-match"], tag):
        raise PreconditionFailed("the content is another than If-Match names")
    if "if-none-match" in headers and names_tag(headers["if-none-match"], tag, weak=True):
        return Response(status_code=304, headers={**sealed.headers()})
    try:
        parse_range(_applicable_range(request, tag), sealed.size)
    except Unsatisfiable as error:
        return problem_response(
            RangeNotSatisfiable(str(error)), {"Content-Range": f"bytes */{sealed.size}"}
        )
    return None


def _applicable_range(request: Request, tag: str) -> str | None:
    """The Range header of GET (RFC 9110, 14.2), unless If-Range names other content; a date proves nothing
    here."""
    if request.method != "GET":
        return None
    condition = request.headers.get("if-range")
    if condition is not None and condition.strip() != tag:
        return None
    return request.headers.get("range")


def names_tag(header: str, tag: str, *, weak: bool = False) -> bool:
    tags = [each.strip() for each in header.split(",")]
    if weak:
        tags = [each.removeprefix("W/") for each in tags]
    return "*" in tags or tag in tags


async def _head(blobs: BlobStore, sealed: Sealed) -> Response:
    """A byte of the content shows that GET would be answered: a store may charge for more."""
    content = blobs.read(sealed.tenant_id, sealed.blob_id, sealed.size, length=1, retrieving=False)
    try:
        async with aclosing(content):
            await anext(content, b"")
    except ContentInRetrieval as error:
        state = await blobs.retrieval(sealed.tenant_id, sealed.blob_id)
        return problem_response(error, {RETRIEVAL_HEADER: state.value})
    headers = {**sealed.headers(), "Content-Length": str(sealed.size)}
    return Response(status_code=200, headers={**headers, "Content-Type": sealed.media_type})


async def _whole(blobs: BlobStore, sealed: Sealed) -> Response:
    headers = {**sealed.headers(), "Content-Length": str(sealed.size)}
    return await in_pieces(_read(blobs, sealed, None), 200, headers, sealed.media_type)


async def _single(blobs: BlobStore, sealed: Sealed, wanted: ByteRange) -> Response:
    headers = {
        **sealed.headers(),
        "Content-Length": str(wanted.length),
        "Content-Range": wanted.content_range(sealed.size),
    }
    return await in_pieces(_read(blobs, sealed, wanted), 206, headers, sealed.media_type)


async def _multiple(blobs: BlobStore, sealed: Sealed, ranges: list[ByteRange]) -> Response:
    boundary = uuid4().hex
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {sealed.media_type}\r\n"
        f"Content-Range: {each.content_range(sealed.size)}\r\n\r\n".encode()
        for each in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode()
    length = sum(map(len, heads)) + sum(each.length for each in ranges) + len(end)
    headers = {**sealed.headers(), "Content-Length": str(length)}
    body = _parts(blobs, sealed, list(zip(heads, ranges, strict=True)), end)
    return await in_pieces(body, 206, headers, f"multipart/byteranges; boundary={boundary}")


async def _parts(
    blobs: BlobStore, sealed: Sealed, parts: list[tuple[bytes, ByteRange]], end: bytes
) -> AsyncGenerator[bytes, None]:
    for head, wanted in parts:
        async with aclosing(_read(blobs, sealed, wanted)) as chunks:
            first = await anext(chunks)
            yield head
            yield first
            async for chunk in chunks:
                yield chunk
    yield end


def _read(
    blobs: BlobStore, sealed: Sealed, wanted: ByteRange | None
) -> AsyncGenerator[bytes, None]:
    offset, length = (wanted.start, wanted.length) if wanted else (0, None)
    return blobs.read(sealed.tenant_id, sealed.blob_id, sealed.size, offset, length)

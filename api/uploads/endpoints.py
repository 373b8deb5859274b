"""`/v1/uploads`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.problem_responses import problems
from api.services import Provided, Services
from api.uploads.access import require_open, require_upload
from api.uploads.continuing import continue_upload
from api.uploads.creating import create_upload
from api.uploads.documented_headers import CONTINUATION, CREATION, PLAIN, answer_headers
from api.uploads.protocol import (
    CHECKSUM_ALGORITHMS,
    EXTENSIONS,
    VERSION,
    offset_headers,
    require_version,
    state_headers,
)
from api.uploads.schemas import Upload
from db.audit import record
from db.queries import resumable_uploads
from db.queries.resumable_uploads import UploadState

router = APIRouter(prefix="/v1/uploads", tags=["uploads"])

Writer = Annotated[Caller, Depends(require("files:write"))]
_DONE = ("Upload-Offset", "Upload-Expires", "Muniment-File")


@router.post(
    "",
    status_code=201,
    summary="Create a resumable upload",
    response_model=Upload,
    openapi_extra=CREATION,
    responses={
        **problems(400, 404, 409, 410, 412, 413, 415, 422, 429, 460, 503),
        201: {
            "model": Upload,
            "description": "Where to send the bytes. An upload that is whole with this is a file.",
            "headers": answer_headers("Location", *_DONE),
        },
    },
)
async def create(request: Request, services: Provided, caller: Writer) -> Response:
    """tus 1.0.0: creation, with its first bytes in the body or without them, its length deferred or
    not; or the concatenation of partial uploads."""
    require_version(request.headers)
    return await create_upload(request, caller, services)


@router.options("", status_code=204, summary="Ask what uploads can do", response_class=Response)
async def describe_protocol(services: Provided) -> Response:
    """Needs no key."""
    return _capabilities(services)


@router.options(
    "/{upload_id}", status_code=204, summary="Ask what an upload can do", response_class=Response
)
async def describe_protocol_of_upload(
    _: Annotated[str, Path(alias="upload_id")], services: Provided
) -> Response:
    """Needs no key, and tells nothing of the upload."""
    return _capabilities(services)


def _capabilities(services: Services) -> Response:
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(services.uploads.max_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUM_ALGORITHMS),
    }
    return Response(status_code=204, headers=headers)


@router.head(
    "/{upload_id}",
    summary="Ask how far an upload has come",
    response_class=Response,
    openapi_extra=PLAIN,
    responses={
        **problems(404, 410, 412),
        200: {
            "description": "What is stored durably.",
            "headers": answer_headers(*_DONE, "Upload-Length"),
        },
    },
)
async def ask_offset(
    upload_id: UUID, request: Request, services: Provided, caller: Writer
) -> Response:
    require_version(request.headers)
    async with services.database.transaction(caller.access) as session:
        upload = await require_upload(session, caller, upload_id)
    return Response(headers={**state_headers(upload), "Cache-Control": "no-store"})


@router.patch(
    "/{upload_id}",
    status_code=204,
    summary="Send what follows an upload's offset",
    response_class=Response,
    openapi_extra=CONTINUATION,
    responses={
        **problems(400, 404, 408, 409, 410, 412, 413, 415, 422, 429, 460, 503),
        204: {"description": "It is stored durably.", "headers": answer_headers(*_DONE)},
    },
)
async def send_piece(
    upload_id: UUID, request: Request, services: Provided, caller: Writer
) -> Response:
    """The last piece makes the file and starts its job, as POST /v1/files does; `Muniment-File` names
    it. Of a body that is cut off, what came is kept."""
    require_version(request.headers)
    upload = await continue_upload(request, caller, services, upload_id)
    return Response(status_code=204, headers=offset_headers(upload))


@router.delete(
    "/{upload_id}",
    status_code=204,
    summary="Terminate an upload",
    response_class=Response,
    openapi_extra=PLAIN,
    responses=problems(404, 409, 410, 412),
)
async def terminate(
    upload_id: UUID, request: Request, services: Provided, caller: Writer
) -> Response:
    """What was sent is destroyed. 409 for one that is finished: delete its file."""
    require_version(request.headers)
    async with services.database.transaction(caller.access) as session:
        upload = await require_open(session, caller, upload_id, for_update=True)
        await resumable_uploads.close(session, upload, UploadState.TERMINATED)
        record(session, caller.act("upload.terminated", "upload", upload.id))
    return Response(status_code=204)

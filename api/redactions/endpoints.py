"""`POST /v1/files/{id}/redactions`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, lacks, require
from api.files.content import respond
from api.problem_responses import problems
from api.redactions import service
from api.redactions.schemas import NewRedaction
from api.services import Provided

router = APIRouter(prefix="/v1/files/{file_id}", tags=["content"])

Writer = Annotated[Caller, Depends(require("files:write"))]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="The version; without it the one in use.")
]


@router.post(
    "/redactions",
    summary="A PDF of the pages with what was found painted over",
    response_class=Response,
    responses={
        **problems(404, 409, 410, 412, 422, 429, 503),
        200: {"content": {service.MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def redact_file(
    file_id: UUID,
    body: NewRedaction,
    request: Request,
    services: Provided,
    caller: Writer,
    version: Version = None,
) -> Response:
    """Needs the scope `files:read`, too. Of PDFs and images of up to 200 pages. Each page is drawn,
    painted over and kept as a picture: text, metadata, attachments, annotations and scripts are not in it.
    A page that could not be read, where a finding has no place, or on which an annotation draws something
    of its own, is black all over. The same request gives the same copy again. 503 with `Retry-After` when
    no worker has made it in time: ask again, it is there soon after."""
    if "files:read" not in caller.scopes:
        raise lacks("files:read", caller)
    sealed = await service.redact(services, caller, file_id, version, body)
    return await respond(request, services.blobs, sealed)

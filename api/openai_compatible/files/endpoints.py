"""`/openai/v1/files`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.files.content import download
from api.files.reception import is_form
from api.files.schemas import File
from api.files.uploading import upload
from api.openai_compatible.errors import PREFIX
from api.openai_compatible.files import service
from api.openai_compatible.files.schemas import DeletedFile, FileObject, Purpose
from api.openai_compatible.ids import IdPrefix, uuid_of
from api.openai_compatible.lists import After, ListPage, OldestOrNewest, PageSize, page_limit
from api.openai_compatible.responses import openai_problems
from api.services import Provided
from muniment.errors import UnsupportedMediaType

router = APIRouter(prefix=f"{PREFIX}/files", tags=["OpenAI"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]
Deleter = Annotated[Caller, Depends(require("files:delete"))]

_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": ["assistants", "user_data"]},
                        "collection": {
                            "type": "string",
                            "description": "Where the file lies, and so who may read it; name or id.",
                        },
                    },
                }
            }
        },
    }
}
"""FastAPI's own type of a part of the description."""


@router.post(
    "",
    summary="Upload a file",
    response_model=FileObject,
    openapi_extra=_FORM,
    responses=openai_problems(404, 409, 415),
)
async def create_file(request: Request, services: Provided, caller: Writer) -> Response:
    """As `POST /v1/files`: into the collection `default` unless `collection` names another; read at once,
    whether or not a vector store gets it. The same content under the same name again is the same file."""
    if not is_form(request.headers):
        raise UnsupportedMediaType(
            "the body is no multipart form", remedy="Send the parts `file` and `purpose`."
        )
    made = await upload(request, caller, services, fields_of=service.uploaded_fields)
    view = service.uploaded_view(File.model_validate_json(bytes(made.body)))
    return Response(view.model_dump_json(), media_type="application/json")


@router.get("", summary="List files", responses=openai_problems(404))
async def list_files(
    services: Provided,
    caller: Reader,
    limit: PageSize = 100,
    after: After = None,
    order: OldestOrNewest = "desc",
    purpose: Annotated[Purpose | None, Query(description="Files for this purpose.")] = None,
) -> ListPage[FileObject]:
    """Files of every collection that the caller may read, however they were uploaded."""
    return await service.list_objects(
        services,
        caller,
        purpose=purpose,
        limit=page_limit(limit),
        after=None if after is None else uuid_of(IdPrefix.FILE, after),
        order=order,
    )


@router.get("/{openai_file_id}", summary="Show a file", responses=openai_problems(404))
async def show_file(openai_file_id: str, services: Provided, caller: Reader) -> FileObject:
    file_id = uuid_of(IdPrefix.FILE, openai_file_id)
    async with services.database.transaction(caller.access) as session:
        return service.file_object(await service.require_shown(session, file_id))


@router.delete("/{openai_file_id}", summary="Delete a file", responses=openai_problems(404, 409))
async def delete_file(openai_file_id: str, services: Provided, caller: Deleter) -> DeletedFile:
    """To the trash, and out of every vector store and search at once."""
    file_id = uuid_of(IdPrefix.FILE, openai_file_id)
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, file_id)
    return DeletedFile(id=openai_file_id)


@router.get(
    "/{openai_file_id}/content",
    summary="Download a file's content",
    response_class=Response,
    responses={
        **openai_problems(404, 409, 410, 412, 416),
        200: {"description": "The content.", "content": {"*/*": {}}},
        206: {
            "description": "A range, or several as multipart/byteranges.",
            "content": {"*/*": {}},
        },
        304: {"description": "The content is what If-None-Match names."},
    },
)
async def download_content(
    openai_file_id: str, request: Request, services: Provided, caller: Reader
) -> Response:
    """As `GET /v1/files/{id}/content`: nothing leaves that waits for its virus scan, or for a decision."""
    file_id = uuid_of(IdPrefix.FILE, openai_file_id)
    async with services.database.transaction(caller.access) as session:
        await service.require_shown(session, file_id)
    return await download(request, caller, services, file_id, None)

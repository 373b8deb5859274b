"""`/v1/files`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.files import listing, service
from api.files.archive import MEDIA_TYPE, download_archive
from api.files.content import download
from api.files.retrieval import SAYS_HOW_FAR, retrieval_of_file
from api.files.schemas import File, FileChange, FileVersion, NewArchive, ReprocessBody
from api.files.upload_description import UPLOAD
from api.files.uploading import upload
from api.files.view import entity_tag, version_view
from api.idempotency import json_answer
from api.jobs.answering import answer_with_job, recorded_answer
from api.jobs.schemas import Job
from api.jobs.starting import start_job
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    NumberCursor,
    Page,
    decode_cursor,
)
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided
from db.queries.files import FileFilter

router = APIRouter(prefix="/v1/files", tags=["files"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]
Deleter = Annotated[Caller, Depends(require("files:delete"))]
VersionNumber = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="The version; without it the one in use.")
]
PathVersion = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.post(
    "",
    status_code=202,
    summary="Upload a file",
    response_model=File,
    openapi_extra=UPLOAD,
    responses={
        **problems(400, 409, 413, 415, 422, 429, 503),
        200: {"model": File, "description": "The same content under the same name was there."},
    },
)
async def upload_file(request: Request, services: Provided, caller: Writer) -> Response:
    """The bytes are streamed into the sealed store, their digest verified on the way. Then the file
    is recorded together with its ingestion job, whose progress `job` and the event stream show."""
    return await upload(request, caller, services)


@router.post(
    "/archive",
    summary="Download many files as one ZIP archive",
    response_class=Response,
    responses={
        **problems(400, 404, 409, 410, 413, 422, 429, 503),
        200: {
            "description": "The archive, of a length that is not known before.",
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
    },
)
async def download_many(body: NewArchive, services: Provided, caller: Reader) -> Response:
    """Packed while it is sent; names are made safe and unique, without folders. One file that cannot
    be downloaded refuses the whole, and `errors` names its place in the list. A connection that
    breaks off means that a file could not be read to its end: what came is no whole archive."""
    return await download_archive(caller, services, body)


@router.get("", summary="List files", responses=problems(400))
async def list_files(
    request: Request,
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    name: Annotated[
        str | None, Query(alias="name~", description="Part of the name.", max_length=1024)
    ] = None,
    state: listing.States = None,
    media_type: Annotated[str | None, Query(max_length=127)] = None,
    collection: Annotated[
        str | None, Query(max_length=200, description="Name or id of the collection.")
    ] = None,
    label: Annotated[str | None, Query(max_length=200)] = None,
    created: listing.Created = None,
    parent: Annotated[
        UUID | None, Query(description="Files that came out of this archive or message.")
    ] = None,
    sort: listing.SortOrder = "-created_at",
) -> Page[File]:
    """Any metadata field is a filter too: `?<field>=<value>`, or `?metadata.<field>=<value>` for one
    that is called like a parameter or like something that files have (`name`, `size`), which is refused."""
    created_from, created_until = listing.created_range(created)
    wanted = FileFilter(
        name_contains=name,
        states=tuple(state or ()),
        media_type=media_type,
        label=label,
        parent_id=parent,
        created_from=created_from,
        created_until=created_until,
        attributes=listing.metadata_filters(request),
    )
    return await listing.list_files(
        services, caller, wanted, collection=collection, sort=sort, limit=limit, cursor=cursor
    )


@router.get("/{file_id}", summary="Show a file", response_model=File, responses=problems(404))
async def show_file(file_id: UUID, services: Provided, caller: Reader) -> Response:
    """The ETag is for `If-Match` on PATCH."""
    async with services.database.transaction(caller.access) as session:
        detail = await service.require_file(session, file_id)
        view = await service.show(session, caller, services.links, detail)
    view.retrieval = await retrieval_of_file(services.blobs, services.retrieval_questions, detail)
    return _tagged(view, entity_tag(detail.file))


@router.patch(
    "/{file_id}",
    summary="Change a file's name, collection, metadata or labels",
    response_model=File,
    responses=problems(404, 409, 412, 422),
)
async def change_file(
    file_id: UUID,
    body: FileChange,
    services: Provided,
    caller: Writer,
    if_match: IfMatch = None,
) -> Response:
    async with services.database.transaction(caller.access) as session:
        detail = await service.change(session, caller, if_match, file_id, body)
        view = await service.show(session, caller, services.links, detail)
    return _tagged(view, entity_tag(detail.file))


@router.delete(
    "/{file_id}",
    summary="Move a file to the trash, or erase it for good",
    response_model=File,
    responses={
        **problems(404, 409, 410),
        202: {"model": Job, "description": "With `permanent=true`: the erasure's job."},
    },
)
async def delete_file(
    file_id: UUID,
    services: Provided,
    caller: Deleter,
    permanent: Annotated[bool, Query(description="Erase every version; cannot be undone.")] = False,
) -> Response:
    """Out of sight and out of search at once, either way."""
    if permanent:
        return await _erase(file_id, services, caller)
    async with services.database.transaction(caller.access) as session:
        detail = await service.trash(session, caller, file_id)
        view = await service.show(session, caller, services.links, detail)
    return _tagged(view, entity_tag(detail.file))


async def _erase(file_id: UUID, services: Provided, caller: Caller) -> Response:
    async with services.database.transaction(caller.access) as session:
        job = await service.add_erasure(session, caller, file_id)
        answer = await recorded_answer(session, services, job)
    await start_job(services, job)
    return json_answer(answer)


@router.post(
    "/{file_id}/restore",
    summary="Take a file out of the trash",
    response_model=File,
    responses=problems(404, 409),
)
async def restore_file(file_id: UUID, services: Provided, caller: Deleter) -> Response:
    async with services.database.transaction(caller.access) as session:
        detail = await service.restore(session, caller, file_id)
        view = await service.show(session, caller, services.links, detail)
    return _tagged(view, entity_tag(detail.file))


@router.get("/{file_id}/versions", summary="List a file's versions", responses=problems(404))
async def list_versions(
    file_id: UUID,
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[FileVersion]:
    place = decode_cursor(NumberCursor, cursor)
    return await service.list_versions(services, caller, file_id, limit, place)


@router.post(
    "/{file_id}/versions",
    status_code=202,
    summary="Upload a new version of a file",
    response_model=File,
    openapi_extra=UPLOAD,
    responses={
        **problems(400, 404, 409, 413, 415, 422, 429, 503),
        200: {"model": File, "description": "The newest version has this content already."},
    },
)
async def upload_version(
    file_id: UUID, request: Request, services: Provided, caller: Writer
) -> Response:
    """Readers see the former version until the new one is published."""
    return await upload(request, caller, services, file_id)


@router.get("/{file_id}/versions/{number}", summary="Show a version", responses=problems(404))
async def show_version(
    file_id: UUID, number: PathVersion, services: Provided, caller: Reader
) -> FileVersion:
    async with services.database.transaction(caller.access) as session:
        detail = await service.require_file(session, file_id)
        version = await service.require_version(session, detail, number)
    return version_view(detail, version)


_CONTENT_RESPONSES = {
    **problems(404, 409, 410, 412, 416),
    200: {"description": "The content.", "content": {"*/*": {}}},
    206: {"description": "A range, or several as multipart/byteranges.", "content": {"*/*": {}}},
    304: {"description": "The content is what If-None-Match names."},
}


@router.get(
    "/{file_id}/content",
    summary="Download a file's content",
    response_class=Response,
    responses=_CONTENT_RESPONSES,
)
async def download_content(
    file_id: UUID,
    request: Request,
    services: Provided,
    caller: Reader,
    version: VersionNumber = None,
) -> Response:
    """Strong ETag over the bytes; up to 8 ranges; `If-Range`, `If-None-Match`, `If-Match`."""
    return await download(request, caller, services, file_id, version)


@router.head(
    "/{file_id}/content",
    summary="Ask about a file's content",
    response_class=Response,
    responses={**_CONTENT_RESPONSES, **SAYS_HOW_FAR},
)
async def head_content(
    file_id: UUID,
    request: Request,
    services: Provided,
    caller: Reader,
    version: VersionNumber = None,
) -> Response:
    """Has nothing retrieved from an archive: `Muniment-Retrieval` of a 409 says whether the content is
    `archived` or `in_progress`."""
    return await download(request, caller, services, file_id, version)


@router.post(
    "/{file_id}/reprocess",
    status_code=202,
    summary="Ingest a file anew with the present settings",
    response_model=Job,
    responses=problems(404, 409, 422),
)
async def reprocess_file(
    file_id: UUID,
    request: Request,
    services: Provided,
    caller: Writer,
    body: ReprocessBody | None = None,
) -> Response:
    """A new job; only what the settings changed is computed, all else is found. A retry of it keeps
    its settings; a later run without them goes by the workers' own again."""
    wanted = body or ReprocessBody()
    return await answer_with_job(
        request,
        caller,
        services,
        wanted,
        lambda session: service.add_reprocessing(session, caller, file_id, wanted),
        password=wanted.password,
    )


def _tagged(view: File, tag: str) -> Response:
    body = view.model_dump(mode="json", exclude={"deduplicated"})
    return JSONResponse(body, headers={"ETag": tag})

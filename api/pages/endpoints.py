"""`/v1/files/{id}/pages`, `…/document`, `…/markdown`, `…/text`, `…/chunks`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import PlainTextResponse, Response

from api.authentication import Caller, require
from api.pages import service
from api.pages.schemas import ChunkView, PageView
from api.pagination import Cursor, NumberCursor, Page, decode_cursor
from api.problem_responses import problems
from api.services import Provided

router = APIRouter(prefix="/v1/files/{file_id}", tags=["content"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="The version; without it the one in use.")
]
PageLimit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
PageNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]


@router.get("/pages", summary="List a file's pages", responses=problems(400, 404, 409, 410))
async def list_pages(
    file_id: UUID,
    services: Provided,
    caller: Reader,
    version: Version = None,
    limit: PageLimit = 20,
    cursor: Cursor = None,
) -> Page[PageView]:
    """In page order, each with its text and lines."""
    place = decode_cursor(NumberCursor, cursor)
    return await service.list_pages(services, caller, file_id, version, limit, place)


@router.get("/pages/{page}", summary="Show a page", responses=problems(404, 409, 410))
async def show_page(
    file_id: UUID, page: PageNumber, services: Provided, caller: Reader, version: Version = None
) -> PageView:
    """Its text and lines with their boxes: origin top left, in points of the page's crop box."""
    return await service.show_page(services, caller, file_id, version, page)


@router.get(
    "/document",
    summary="The document's structure as DoclingDocument JSON",
    response_class=Response,
    responses={
        **problems(404, 409, 410),
        200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    },
)
async def show_document(
    file_id: UUID, services: Provided, caller: Reader, version: Version = None
) -> Response:
    content = await service.document(services, caller, file_id, version, "document")
    return Response(content, media_type="application/json")


@router.get(
    "/markdown",
    summary="The document as Markdown",
    response_class=Response,
    responses={**problems(404, 409, 410), 200: {"content": {"text/markdown": {}}}},
)
async def show_markdown(
    file_id: UUID, services: Provided, caller: Reader, version: Version = None
) -> Response:
    content = await service.markdown(services, caller, file_id, version)
    return Response(content, media_type="text/markdown; charset=utf-8")


@router.get(
    "/text",
    summary="The document as plain text",
    response_class=PlainTextResponse,
    responses=problems(404, 409, 410),
)
async def show_text(
    file_id: UUID, services: Provided, caller: Reader, version: Version = None
) -> Response:
    """The pages' texts in order, with an empty line between them."""
    return PlainTextResponse(await service.text(services, caller, file_id, version))


@router.get("/chunks", summary="List a file's chunks", responses=problems(400, 404, 409, 410))
async def list_chunks(
    file_id: UUID,
    services: Provided,
    caller: Reader,
    version: Version = None,
    limit: PageLimit = 50,
    cursor: Cursor = None,
) -> Page[ChunkView]:
    """The passages that searches find, in the document's order, with their pages and boxes."""
    place = decode_cursor(NumberCursor, cursor)
    return await service.list_chunks(services, caller, file_id, version, limit, place)

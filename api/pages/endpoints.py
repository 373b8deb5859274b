"""`/v1/files/{id}/pages`, `…/thumbnail`, `…/document`, `…/markdown`, `…/text`, `…/chunks`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import PlainTextResponse, Response

from api.authentication import Caller, require
from api.files.content import names_tag, respond
from api.pages import service
from api.pages.schemas import ChunkView, PageView
from api.pagination import Cursor, NumberCursor, Page, decode_cursor
from api.problem_responses import Responses, problems
from api.sending import in_pieces
from api.services import Provided
from muniment.contracts.render_view import (
    DEFAULT_DPI,
    DPI_STEPS,
    MAXIMUM_DPI,
    MINIMUM_DPI,
    ImageFormat,
    page_image,
    thumbnail,
)

router = APIRouter(prefix="/v1/files/{file_id}", tags=["content"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Version = Annotated[
    int | None, Query(ge=1, le=2**31 - 1, description="The version; without it the one in use.")
]
Layer = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=500,
        description="The page as that engine, or that version of one, read it; see `layers`.",
    ),
]
PageLimit = Annotated[int, Query(ge=1, le=100, description="How many at most.")]
PageNumber = Annotated[int, Path(ge=1, le=2**31 - 1)]
Dpi = Annotated[
    int,
    Query(
        ge=MINIMUM_DPI,
        le=MAXIMUM_DPI,
        description="Pixels per inch of the page; drawn with the next higher of "
        f"{', '.join(str(step) for step in DPI_STEPS)}.",
    ),
]
Format = Annotated[ImageFormat, Query(alias="format", description="WebP is smaller, PNG exact.")]
NOT_MODIFIED = "It is what If-None-Match names."


def _derived(*media_types: str) -> Responses:
    """What a route documents that gives back sealed bytes."""
    return {
        **problems(404, 409, 410, 412, 416, 422, 429, 503),
        200: {"content": {media_type: {} for media_type in media_types}},
        206: {"description": "A range of it."},
        304: {"description": NOT_MODIFIED},
    }


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
    file_id: UUID,
    page: PageNumber,
    services: Provided,
    caller: Reader,
    version: Version = None,
    layer: Layer = None,
) -> PageView:
    """Its text and lines with their boxes: origin top left, in points of the page's crop box; by
    which engines it was read besides, in `layers`."""
    return await service.show_page(services, caller, file_id, version, page, layer)


@router.get(
    "/pages/{page}/image",
    summary="A picture of a page",
    response_class=Response,
    responses=_derived("image/webp", "image/png"),
)
async def show_page_image(
    file_id: UUID,
    page: PageNumber,
    request: Request,
    services: Provided,
    caller: Reader,
    version: Version = None,
    dpi: Dpi = DEFAULT_DPI,
    image_format: Format = ImageFormat.WEBP,
) -> Response:
    """Of PDFs and images, in the frame of the page's boxes: crop box, rotated, upright. An image
    file is never enlarged; a page that would have more than 16 million pixels is drawn smaller.
    Of an encrypted PDF the first 50 pages have pictures, of the resolution and format of a request
    without parameters: they are drawn while it is read, when its password is at hand.
    503 with `Retry-After` when no worker has drawn it in time: it is there soon after."""
    view = page_image(page, image_format, dpi)
    sealed = await service.image(services, caller, file_id, version, view)
    return await respond(request, services.blobs, sealed)


@router.get(
    "/thumbnail",
    summary="A small picture of the first page",
    response_class=Response,
    responses=_derived("image/webp", "image/png"),
)
async def show_thumbnail(
    file_id: UUID,
    request: Request,
    services: Provided,
    caller: Reader,
    version: Version = None,
    image_format: Format = ImageFormat.WEBP,
) -> Response:
    """Its longer side has 256 pixels, or fewer where an image file is smaller."""
    sealed = await service.image(services, caller, file_id, version, thumbnail(image_format))
    return await respond(request, services.blobs, sealed)


@router.get(
    "/document",
    summary="The document's structure as DoclingDocument JSON",
    response_class=Response,
    responses={
        **_derived("application/json"),
        200: {"content": {"application/json": {"schema": {"type": "object"}}}},
    },
)
async def show_document(
    file_id: UUID, request: Request, services: Provided, caller: Reader, version: Version = None
) -> Response:
    sealed = await service.document(services, caller, file_id, version)
    return await respond(request, services.blobs, sealed)


@router.get(
    "/markdown",
    summary="The document as Markdown",
    response_class=Response,
    responses=_derived("text/markdown"),
)
async def show_markdown(
    file_id: UUID, request: Request, services: Provided, caller: Reader, version: Version = None
) -> Response:
    """503 with `Retry-After` when no worker has made it in time: it is there soon after."""
    sealed = await service.markdown(services, caller, file_id, version)
    return await respond(request, services.blobs, sealed)


@router.get(
    "/text",
    summary="The document as plain text",
    response_class=PlainTextResponse,
    responses={**problems(404, 409, 410), 304: {"description": NOT_MODIFIED}},
)
async def show_text(
    file_id: UUID, request: Request, services: Provided, caller: Reader, version: Version = None
) -> Response:
    """The pages' texts in order, with an empty line between them. The connection is cut when the text is read
    anew, or withheld from the caller, while it is sent."""
    shown = await service.require_published(
        services, caller, file_id, version, "text", is_masked=True
    )
    headers = {"ETag": service.text_tag(shown, caller), "Cache-Control": "private, no-cache"}
    if names_tag(request.headers.get("if-none-match", ""), headers["ETag"], weak=True):
        return Response(status_code=304, headers=headers)
    return await in_pieces(
        service.text(services, caller, file_id, shown), 200, headers, "text/plain; charset=utf-8"
    )


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

"""`/s/{token}`: what whoever has a link sees. The token is the proof; there is no key."""

from collections.abc import Awaitable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import HTMLResponse, Response

from api.files.retrieval import SAYS_HOW_FAR
from api.problem_responses import Responses, documented
from api.problems import RETRY_AFTER_SECONDS
from api.services import Provided
from api.shared_files import downloading, opening, pages, refusals
from api.shared_files.refusals import Refused
from muniment.errors import TooManyRequests

router = APIRouter(prefix="/s", tags=["shared files"])

Token = Annotated[str, Path(description="As the link has it: `mus_…`.", examples=["mus_…"])]
_LONGEST_FORM_FIELD = 10_000

_PAGE: dict[str, Any] = {"content": {"text/html": {"schema": {"type": "string"}}}}
_REFUSALS: Responses = {
    **documented(400, 503, 507),
    403: {"description": "Not from this network, or the password is missing or wrong.", **_PAGE},
    404: {"description": "No such link, revoked, or nothing to be had by it now.", **_PAGE},
    410: {"description": "Expired, or used as often as it may be.", **_PAGE},
    429: {"description": "Too many at a time, or too many passwords tried.", **_PAGE},
}


def _or_a_page(*statuses: int) -> Responses:
    """Problems, and of a link with a watermark pages."""
    return {
        status: {**problem, "content": {**problem["content"], **_PAGE["content"]}}
        for status, problem in documented(*statuses).items()
    }


_CONTENT: Responses = {
    **_REFUSALS,
    **documented(412, 416),
    **_or_a_page(409, 503),
    200: {"description": "The content.", "content": {"*/*": {}}},
    206: {"description": "A range, or several as multipart/byteranges.", "content": {"*/*": {}}},
    304: {"description": "The content is what If-None-Match names."},
}


@router.get(
    "/{token}",
    summary="Show what is shared",
    response_class=HTMLResponse,
    responses=_REFUSALS,
)
async def show_shared_file(token: Token, request: Request, services: Provided) -> Response:
    """A page with the file's name, size and type, who shared it, until when, and a link to its content;
    or with a field for the password. Counts as no download."""
    return await _answered(opening.show(request, services, token))


@router.head(
    "/{token}",
    summary="Ask about the page",
    response_class=HTMLResponse,
    responses=_REFUSALS,
)
async def head_shared_page(token: Token, request: Request, services: Provided) -> Response:
    """Whether there is one, for programs that look before they show a link."""
    return await _answered(opening.ask(request, services, token))


@router.post(
    "/{token}",
    summary="Give the password of a link",
    response_class=HTMLResponse,
    responses={**_REFUSALS, 303: {"description": "It is right: back to the page."}},
)
async def unlock_shared_file(
    token: Token,
    request: Request,
    services: Provided,
    password: Annotated[str, Form(max_length=_LONGEST_FORM_FIELD)] = "",
) -> Response:
    """A right one sets the cookie by which the content is had. Five tries in 15 minutes from an
    address, and 50 from all of them, before 429 with `Retry-After`."""
    return await _answered(opening.unlock(request, services, token, password))


@router.get(
    "/{token}/content",
    summary="Download what is shared",
    response_class=Response,
    responses=_CONTENT,
)
async def download_shared_file(token: Token, request: Request, services: Provided) -> Response:
    """As `GET /v1/files/{id}/content`, with ranges. Counted once for each session: keep the cookie when
    a download is resumed. `Muniment-Shared-By` says who shared it, percent-encoded. Of a
    link with `watermark` a copy whose pages say it too: 503 with `Retry-After` while it is made, 409 where
    it cannot be."""
    return await _answered(downloading.download(request, services, token))


@router.head(
    "/{token}/content",
    summary="Ask about what is shared",
    response_class=Response,
    responses={**_CONTENT, **SAYS_HOW_FAR},
)
async def head_shared_file(token: Token, request: Request, services: Provided) -> Response:
    """Counts as no download, and has nothing retrieved from an archive: 409 with `Muniment-Retrieval`."""
    return await _answered(downloading.head(request, services, token))


async def _answered(answering: Awaitable[Response]) -> Response:
    """The answer, refusals as pages: people read them."""
    try:
        return await answering
    except Refused as refused:
        return pages.refusal_page(refused)
    except TooManyRequests:
        return pages.refusal_page(refusals.busy(RETRY_AFTER_SECONDS))

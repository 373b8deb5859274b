"""The one mapping of errors to HTTP: RFC 9457 problem details.

Every error response has the media type `application/problem+json` and the members of `ProblemDetails`,
but for those to clients of OpenAI's API (`api.openai_compatible.errors`).
What is not one of our errors is logged and answered without its internals.
"""

import logging
import math
from collections.abc import Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute, APIRouter
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from api.openai_compatible.errors import (
    has_openai_form,
    openai_body,
    openai_headers,
    openai_status,
)
from muniment.errors import (
    DependencyUnavailable,
    InvalidRequest,
    MethodNotAllowed,
    MunimentError,
    NotFound,
    RequestTooSlow,
    TooManyRequests,
    Unauthenticated,
    Unprocessable,
    WrongField,
)
from muniment.telemetry import context

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
_MOST_FIELD_ERRORS = 50
NOT_FOUND = 404
METHOD_NOT_ALLOWED = 405


class FieldError(BaseModel):
    """A field that is wrong, and how."""

    field: str
    detail: str


class ProblemDetails(BaseModel):
    """RFC 9457, with what to do about it (`remedy`) and the request's id for the log."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str
    request_id: str
    errors: list[FieldError] = []


def install(application: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Registers the handlers; unexpected errors are answered by `request_context`."""

    async def framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class alone
        headers = dict(error.headers or {})
        if error.status_code == METHOD_NOT_ALLOWED:
            # The framework names the methods of the first route with this path only.
            headers["Allow"] = ", ".join(_allowed_methods(request, routers))
        return problem_response(_of_framework(error), headers)

    application.add_exception_handler(MunimentError, _ours)
    application.add_exception_handler(RequestValidationError, _validation)
    application.add_exception_handler(HTTPException, framework)


def _allowed_methods(request: Request, routers: Sequence[APIRouter]) -> list[str]:
    allowed: set[str] = set()
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and route.matches(request.scope)[0] is Match.PARTIAL:
                allowed |= route.methods or set()
    return sorted(allowed)


def problem_response(error: MunimentError, headers: Mapping[str, str] | None = None) -> Response:
    """The error as a response, in the form that the present request's client reads."""
    if has_openai_form():
        return JSONResponse(
            openai_body(error),
            status_code=openai_status(error),
            headers={**_headers(error), **openai_headers(error), **(headers or {})},
        )
    details = ProblemDetails(
        type=error.problem_type,
        title=error.title,
        status=error.status,
        detail=error.detail,
        remedy=error.remedy,
        request_id=context.request_id() or "",
        errors=[FieldError(**item) for item in error.errors],
    )
    return JSONResponse(
        details.model_dump(exclude={"errors"} if not details.errors else None),
        status_code=error.status,
        headers={**_headers(error), **(headers or {})},
        media_type=MEDIA_TYPE,
    )


def _headers(error: MunimentError) -> dict[str, str]:
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="muniment"'
    if isinstance(error, TooManyRequests) and error.wait_seconds is not None:
        headers["Retry-After"] = str(math.ceil(error.wait_seconds))
    elif error.retry_after_seconds is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after_seconds))
    elif isinstance(error, TooManyRequests | DependencyUnavailable):
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
    if isinstance(error, RequestTooSlow):
        # The rest of the request may still come, and must not be taken for another one.
        headers["Connection"] = "close"
    return headers


async def _ours(_: Request, error: Exception) -> Response:
    assert isinstance(error, MunimentError)  # noqa: S101 - registered for this class alone
    if error.status >= 500:
        logger.error("request failed", exc_info=error)
    return problem_response(error)


async def _validation(_: Request, error: Exception) -> Response:
    """400 when the body is no JSON at all, 422 when its fields are wrong. Values are not repeated."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class alone
    found = error.errors()
    errors = field_errors(found)
    if any(item["type"] == "json_invalid" for item in found):
        return problem_response(InvalidRequest("the body is not valid JSON", errors=errors))
    return problem_response(
        Unprocessable("some fields are missing or wrong; `errors` names them", errors=errors)
    )


def field_errors(found: Sequence[Mapping[str, object]]) -> list[WrongField]:
    """pydantic's errors as ours: the path of the field and what is wrong with it."""
    shown: list[WrongField] = []
    for item in found[:_MOST_FIELD_ERRORS]:
        location = item["loc"]
        parts = location if isinstance(location, tuple) else (location,)
        shown.append({"field": ".".join(str(part) for part in parts), "detail": str(item["msg"])})
    return shown


def _of_framework(error: HTTPException) -> MunimentError:
    """What the framework itself raises: unknown paths and methods, malformed bodies."""
    if isinstance(error.__cause__, MunimentError):
        # Raised while the framework read the body: a body over the limit.
        return error.__cause__
    if error.status_code == NOT_FOUND:
        return NotFound("there is no such path", remedy="The paths are listed in /openapi.json.")
    if error.status_code == METHOD_NOT_ALLOWED:
        return MethodNotAllowed("this path does not take that method")
    return InvalidRequest("the request cannot be read")

"""Errors as OpenAI's clients expect them: `{"error": {"message", "type", "param", "code"}}`.

`api/problems.py` stays the one place that maps errors to HTTP; it asks here which form an answer has.
"""

from contextvars import ContextVar
from typing import Any

from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from muniment.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    MunimentError,
    NotFound,
    TokenBudgetExhausted,
    TooManyRequests,
    Unauthenticated,
    Unprocessable,
)

PREFIX = "/openai/v1"
UNPROCESSABLE_STATUS = 400
"""OpenAI's servers know no 422: what is wrong in a request is 400."""
_SERVER_ERRORS = 500

_is_asked_for: ContextVar[bool] = ContextVar("openai_errors", default=False)


class UnsupportedParameter(InvalidRequest):
    """A parameter of OpenAI's that is not done here: to ignore it would mislead whoever sent it."""

    problem = "unsupported-parameter"

    def __init__(self, name: str, detail: str, *, remedy: str | None = None) -> None:
        super().__init__(
            f"{name} is not supported: {detail}",
            remedy=remedy or "Leave it out.",
            errors=[{"field": name, "detail": detail}],
        )


class ModelNotFound(NotFound):
    problem = "model-not-found"


class OpenAiError(BaseModel):
    """`code` is the type of the problem; `param` the first field that is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class OpenAiErrorBody(BaseModel):
    """Every error of these routes; the request's id is in `X-Request-Id`."""

    error: OpenAiError


class OpenAiErrors:
    """ASGI middleware: what goes wrong with a request below PREFIX is answered in OpenAI's form, wherever
    it is found out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_ours = scope["type"] == "http" and is_below_prefix(str(scope["path"]))
        token = _is_asked_for.set(is_ours)
        try:
            await self._app(scope, receive, send)
        finally:
            _is_asked_for.reset(token)


def is_below_prefix(path: str) -> bool:
    return path == PREFIX or path.startswith(f"{PREFIX}/")


def has_openai_form() -> bool:
    """Whether the error of the present request is to have it."""
    return _is_asked_for.get()


def openai_status(error: MunimentError) -> int:
    return UNPROCESSABLE_STATUS if isinstance(error, Unprocessable) else error.status


def openai_body(error: MunimentError) -> dict[str, Any]:
    wrong = "; ".join(f"{each['field']}: {each['detail']}" for each in error.errors)
    told = f"{error.detail} ({wrong})" if wrong and wrong not in error.detail else error.detail
    body = OpenAiErrorBody(
        error=OpenAiError(
            message=f"{told.rstrip('.')}. {error.remedy}",
            type=_type(error),
            param=error.errors[0]["field"].removeprefix("body.") if error.errors else None,
            code=_code(error),
        )
    )
    return body.model_dump()


def openai_headers(error: MunimentError) -> dict[str, str]:
    """The client repeats a 409 by itself, which no repetition changes."""
    return {"x-should-retry": "false"} if isinstance(error, Conflict) else {}


def _type(error: MunimentError) -> str:
    if error.status >= _SERVER_ERRORS:
        return "server_error"
    if isinstance(error, TokenBudgetExhausted):
        return "insufficient_quota"
    if isinstance(error, TooManyRequests):
        return "rate_limit_error"
    if isinstance(error, Unauthenticated):
        return "authentication_error"
    if isinstance(error, Forbidden):
        return "permission_error"
    return "invalid_request_error"


def _code(error: MunimentError) -> str:
    if isinstance(error, Unauthenticated):
        return "invalid_api_key"
    return error.problem.replace("-", "_")

"""What every log line of a request or activity carries, bound once with context variables."""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager

import structlog

REQUEST_ID = "request_id"
WORKFLOW_ID = "workflow_id"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


def bound(**ids: str) -> AbstractContextManager[None]:
    """Every line logged within carries these ids. Names such as `tenant_id`, `job_id`."""
    return structlog.contextvars.bound_contextvars(**ids)


def bind(ids: Mapping[str, str]) -> None:
    """Adds the ids to the present context, for as long as that context lives."""
    structlog.contextvars.bind_contextvars(**ids)


def request_id() -> str | None:
    """The id of the request being served, if one is bound."""
    return _bound(REQUEST_ID)


def workflow_id() -> str | None:
    """The id of the workflow whose activity is at work, if one is bound."""
    return _bound(WORKFLOW_ID)


def _bound(name: str) -> str | None:
    value = structlog.contextvars.get_contextvars().get(name)
    return value if isinstance(value, str) else None


def is_request_id(value: str) -> bool:
    """Whether a caller's request id may be taken over: short, and harmless in any log."""
    return _REQUEST_ID.fullmatch(value) is not None

"""The errors of a route, for the OpenAPI description."""

from typing import Any

from api.problems import MEDIA_TYPE, ProblemDetails

_TITLES = {
    400: "The request is malformed",
    401: "No valid API key or token",
    403: "The key lacks the scope, the principal the right, or the tenant the room",
    404: "Absent, or not the caller's to see",
    408: "The request stopped arriving",
    409: "The present state forbids it",
    410: "No longer kept",
    412: "It changed since it was read",
    413: "Larger than the limit",
    415: "A type or coding that is not taken here",
    416: "The range lies outside the content",
    422: "Well-formed, but wrong",
    460: "The bytes do not have the announced checksum; they were discarded",
    429: "Too many, at a time or in a minute; `Retry-After` says when there may be more",
    503: "A service that is needed does not answer",
    507: "A disk is full",
}

Responses = dict[int | str, dict[str, Any]]
"""FastAPI's own type of a route's `responses`."""


def problems(*statuses: int) -> Responses:
    """These problems, and those of every route that asks who calls: to note when a key was last used, and
    what was done, takes room in the database."""
    return documented(401, 403, 429, 507, *statuses)


def documented(*statuses: int) -> Responses:
    return {
        status: {
            "description": _TITLES[status],
            "model": ProblemDetails,
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
        }
        for status in sorted(set(statuses))
    }

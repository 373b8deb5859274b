"""Answers that are errors, as exceptions.

MunimentError
├── ApiProblem           the API answered with a problem document (RFC 9457)
│   └── also the class of muniment.errors whose problem type it names, so that both
│       `except ApiProblem` and `except NotFound` catch it
├── UnexpectedAnswer     an answer that is none of this API's
└── DependencyUnavailable
    ├── ApiUnreachable   nothing answers at the API's address
    └── StreamBroken     an event stream or download broke more often than it is resumed
"""

from collections.abc import Iterator
from functools import cache
from typing import cast

import httpx
from pydantic import ValidationError

from muniment import errors
from muniment.client.models import Problem

_PREFIX = "urn:muniment:problem:"
_BY_STATUS: dict[int, type[errors.MunimentError]] = {
    400: errors.InvalidRequest,
    401: errors.Unauthenticated,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    410: errors.Gone,
    412: errors.PreconditionFailed,
    413: errors.ContentTooLarge,
    416: errors.RangeNotSatisfiable,
    422: errors.Unprocessable,
    429: errors.TooManyRequests,
    502: errors.DependencyUnavailable,
    503: errors.DependencyUnavailable,
    504: errors.DependencyUnavailable,
}


class ApiProblem(errors.MunimentError):
    """The API refused or failed; `document` is its problem document, `status_code` the status."""

    def __init__(self, document: Problem, status_code: int) -> None:
        super().__init__(document.detail or document.title, remedy=document.remedy)
        self.document = document
        self.status_code = status_code


class UnexpectedAnswer(errors.MunimentError):
    problem = "unexpected-answer"
    title = "The answer is not what the API documents"
    default_remedy = "Check that the address is Muniment's, and that client and API fit together."


class ApiUnreachable(errors.DependencyUnavailable):
    problem = "api-unreachable"
    title = "The API does not answer"
    default_remedy = "Start the stack with `muniment up`, or correct MUNIMENT_API__URL."


class StreamBroken(errors.DependencyUnavailable):
    problem = "stream-broken"
    title = "The connection broke again and again"


def problem_of(response: httpx.Response) -> ApiProblem:
    """The exception for an error response whose body has been read."""
    try:
        document = Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy in front of the API answers in its own words.
        document = Problem()
    if not document.title:
        title = f"The API answered {response.status_code} {response.reason_phrase}".rstrip()
        document = document.model_copy(update={"title": title})
    if document.request_id is None:
        request_id = response.headers.get("x-request-id")
        document = document.model_copy(update={"request_id": request_id})
    kind = _by_name().get(document.type.removeprefix(_PREFIX)) or _BY_STATUS.get(
        response.status_code, errors.MunimentError
    )
    return _class_for(kind)(document, response.status_code)


@cache
def _by_name() -> dict[str, type[errors.MunimentError]]:
    return {kind.problem: kind for kind in _descendants(errors.MunimentError)}


def _descendants(kind: type[errors.MunimentError]) -> Iterator[type[errors.MunimentError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__name__ in errors.__all__:
            yield from _descendants(child)


_classes: dict[type[errors.MunimentError], type[ApiProblem]] = {errors.MunimentError: ApiProblem}


def _class_for(kind: type[errors.MunimentError]) -> type[ApiProblem]:
    """A class that is both an ApiProblem and `kind`."""
    if kind not in _classes:
        _classes[kind] = cast("type[ApiProblem]", type(kind.__name__, (ApiProblem, kind), {}))
    return _classes[kind]

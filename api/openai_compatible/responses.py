"""The errors of these routes, for the OpenAPI description."""

from api.openai_compatible.errors import OpenAiErrorBody
from api.problem_responses import Responses, documented

_OF_EVERY_ROUTE = (400, 401, 403, 408, 413, 429, 503, 507)


def openai_problems(*statuses: int) -> Responses:
    """These errors, and those that every one of these routes may answer with."""
    return {
        status: {"description": described["description"], "model": OpenAiErrorBody}
        for status, described in documented(*_OF_EVERY_ROUTE, *statuses).items()
    }

"""The OpenAPI description, completed by what is answered before a route is reached, or beside it."""

from typing import Any

from fastapi import FastAPI

from api.examples import add_examples
from api.openai_compatible.errors import is_below_prefix
from api.problem_responses import documented

_BY_FRAMEWORK = ("HTTPValidationError", "ValidationError")
"""The framework's own form of a 422, which `api.problems` answers in ours."""
_METHODS = frozenset({"get", "head", "post", "put", "patch", "delete"})
_ANY = (400,)
"""Of every address: one that holds a NUL."""
_WITH_BODY = (408, 413)
_OF_CALLERS = (503,)
"""Whoever asks who calls asks the database."""


class DescribedApplication(FastAPI):
    """A FastAPI whose description is complete."""

    def openapi(self) -> dict[str, Any]:
        """As FastAPI's; made once."""
        if self.openapi_schema is None:
            _complete(super().openapi())
        description: dict[str, Any] = super().openapi()
        return description


def _complete(description: dict[str, Any]) -> None:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            if method not in _METHODS:
                continue
            if is_below_prefix(path):
                # Complete as it is: a wrong field is 400 there.
                operation["responses"].pop("422", None)
            else:
                _complete_operation(operation)
    for name in _BY_FRAMEWORK:
        description["components"]["schemas"].pop(name, None)
    add_examples(description)


def _complete_operation(operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if _is_the_frameworks(responses.get("422", {})):
        responses["422"] = _problem(422)
    with_body = _WITH_BODY if "requestBody" in operation else ()
    of_callers = _OF_CALLERS if "security" in operation else ()
    for status in (*_ANY, *with_body, *of_callers):
        responses.setdefault(str(status), _problem(status))


def _is_the_frameworks(response: dict[str, Any]) -> bool:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", "")).endswith(_BY_FRAMEWORK[0])


def _problem(status: int) -> dict[str, Any]:
    (response,) = documented(status).values()
    return {name: value for name, value in response.items() if name != "model"}

"""The API as its OpenAPI description has it: what is asked for is judged by it, and answered by its
examples."""

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from api.application import create_application

DESCRIPTION = create_application().openapi()
_NAME = "urn:description"
# Looked through once: for each schema anew it takes a tenth of a second.
_REGISTRY = Registry().with_resource(_NAME, Resource(DESCRIPTION, DRAFT202012)).crawl()  # type: ignore[call-arg]
ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11"


def violations(schema: dict[str, Any], value: object) -> list[str]:
    """Where the value is not as this schema of the description says."""
    named = json.loads(json.dumps(schema).replace('"#/', f'"{_NAME}#/'))
    validator = Draft202012Validator(named, registry=_REGISTRY, format_checker=FormatChecker())
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


class Described:
    """Answers as the description's examples do, after judging what was asked for by the description."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.preconditions: set[tuple[str, str]] = set()
        self.answered: object = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, operation = described(request.method, request.url.path)
        self.asked.append((request.method, path))
        if "If-Match" in request.headers:
            self.preconditions.add((request.method, path))
        self._judge(request, operation)
        status, answer = next(
            (int(status), answer)
            for status, answer in operation["responses"].items()
            if status.startswith("2")
        )
        content = answer.get("content", {}).get("application/json")
        if content is None or "event-stream" in request.headers["Accept"]:
            # No JSON: content that is read by other means, in tests of their own.
            self.answered = None
            return httpx.Response(status if status == 204 else 404)
        self.answered = content["example"]
        return httpx.Response(status, json=self.answered, headers={"ETag": '"1"'})

    def _judge(self, request: httpx.Request, operation: dict[str, Any]) -> None:
        named = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
        assert set(request.url.params) <= named
        if request.headers.get("Content-Type") != "application/json":
            return
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        assert violations(schema, json.loads(request.content)) == []


def described(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The template that the path is of, those without parameters first."""
    for template in sorted(DESCRIPTION["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        operation = DESCRIPTION["paths"][template].get(method.lower())
        if operation is not None and re.fullmatch(pattern, path):
            return template, operation
    raise AssertionError(f"{method} {path} is not described")

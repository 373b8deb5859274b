"""The API as its OpenAPI description has it: what is asked for is judged by it, and answered by its
examples."""

import json
import re
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from api.application import create_application

DESCRIPTION = create_application().openapi()
ID = "0198c5f2-7a3e-7c4b-9d51-0a6f4e2b8c11"


class Described:
    """Answers as the description's examples do, after judging what was asked for by the description."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answered: object = None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path, operation = described(request.method, request.url.path)
        self.asked.append((request.method, path))
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
        root = {**schema, "components": DESCRIPTION["components"]}
        wrong = list(Draft202012Validator(root).iter_errors(json.loads(request.content)))
        assert wrong == []


def described(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The template that the path is of, those without parameters first."""
    for template in sorted(DESCRIPTION["paths"], key=lambda each: each.count("{")):
        pattern = re.sub(r"\\{\w+\\}", "[^/]+", re.escape(template))
        operation = DESCRIPTION["paths"][template].get(method.lower())
        if operation is not None and re.fullmatch(pattern, path):
            return template, operation
    raise AssertionError(f"{method} {path} is not described")

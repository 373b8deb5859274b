"""Examples of the OpenAPI description: every body that is JSON has one that is as its schema says, and
every type of problem."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter

from api.examples import problem_types
from api.problems import MEDIA_TYPE, ProblemDetails
from muniment.errors import MunimentError
from tests.muniment.client.described_api import DESCRIPTION, violations

METHODS = {"get", "head", "post", "put", "patch", "delete"}


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """By what they are of: requests, and answers that are no problem."""
    for path, operations in DESCRIPTION["paths"].items():
        for method in METHODS & set(operations):
            operation = operations[method]
            place = f"{method.upper()} {path}"
            yield place, operation.get("requestBody", {})
            for status, answer in operation["responses"].items():
                if status.startswith("2"):
                    yield f"{place} {status}", answer


JSON_BODIES = {
    place: body["content"]["application/json"]
    for place, body in bodies()
    if "application/json" in body.get("content", {})
}


@pytest.mark.parametrize("place", sorted(JSON_BODIES))
def test_a_body_has_an_example_that_is_as_its_schema_says(place: str) -> None:
    content = JSON_BODIES[place]
    assert "example" in content, "give the model an example, or api.examples a value"
    assert violations(content.get("schema", {}), content["example"]) == []


def test_examples_say_something() -> None:
    """An empty object teaches nothing, where the schema has fields."""
    for place, content in JSON_BODIES.items():
        if content.get("schema", {}).get("$ref"):
            assert content["example"] != {}, place


@pytest.mark.parametrize("kind", problem_types(), ids=lambda kind: kind.problem)
def test_a_type_of_problem_has_an_example(kind: type[MunimentError]) -> None:
    value = DESCRIPTION["components"]["examples"][kind.problem]["value"]
    TypeAdapter(ProblemDetails).validate_python(value)
    assert (value["type"], value["status"]) == (f"urn:muniment:problem:{kind.problem}", kind.status)


def test_every_problem_that_is_documented_names_an_example_of_its_status() -> None:
    checked = 0
    for path, operations in DESCRIPTION["paths"].items():
        for method in METHODS & set(operations):
            for status, answer in operations[method]["responses"].items():
                content = answer.get("content", {}).get(MEDIA_TYPE)
                if content is None:
                    continue
                (named,) = content["examples"]
                example = DESCRIPTION["components"]["examples"][named]
                assert example["value"]["status"] == int(status), (method, path)
                checked += 1
    assert checked > 500

"""Answers read into models."""

from collections.abc import Callable
from typing import TypeVar

import httpx
from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError

from muniment.client.models import Tagged
from muniment.client.problems import UnexpectedAnswer

Model = TypeVar("Model", bound=BaseModel)

_JSON: TypeAdapter[JsonValue] = TypeAdapter(JsonValue)


def parse_model(model: type[Model], content: bytes | str) -> Model:
    """Raises UnexpectedAnswer, naming the fields but never their values."""
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        wrong = ", ".join(
            ".".join(str(part) for part in problem["loc"]) or "the body"
            for problem in error.errors(include_input=False)[:5]
        )
        raise UnexpectedAnswer(f"a {model.__name__} cannot be read from it: {wrong}") from None


def read_model(model: type[Model]) -> Callable[[httpx.Response], Model]:
    """What is Tagged has the entity tag of the answer's head."""

    def parse(response: httpx.Response) -> Model:
        read = parse_model(model, response.content)
        if isinstance(read, Tagged):
            return read.model_copy(update={"etag": response.headers.get("ETag")})
        return read

    return parse


def read_nothing(_: httpx.Response) -> None:
    """204 has no body."""


def read_json(response: httpx.Response) -> JsonValue:
    try:
        return _JSON.validate_json(response.content)
    except ValidationError:
        raise UnexpectedAnswer("it is not JSON") from None


def read_content(response: httpx.Response) -> bytes:
    return response.content


def read_text(response: httpx.Response) -> str:
    return response.content.decode("utf-8")

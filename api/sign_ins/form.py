"""Bodies that OAuth clients send as a form and all others as JSON."""

from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.problems import field_errors
from muniment.errors import InvalidRequest, Unprocessable, UnsupportedMediaType

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
_MOST_FIELDS = 20

ModelT = TypeVar("ModelT", bound=BaseModel)


async def read_form_or_json(request: Request, model: type[ModelT]) -> ModelT:
    """Raises UnsupportedMediaType for other types, InvalidRequest for what is neither, and Unprocessable
    naming the fields that are wrong, never their values."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await request.body()
    try:
        if media_type == FORM:
            return model.model_validate(_fields(body))
        if media_type == JSON:
            return model.model_validate_json(body)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)
        if any(item["type"] == "json_invalid" for item in found):
            raise InvalidRequest("the body is not valid JSON") from None
        errors = field_errors(found)
        raise Unprocessable(
            "some fields are missing or wrong; `errors` names them", errors=errors
        ) from None
    raise UnsupportedMediaType(f"the body is {JSON} or {FORM}")


def described(*models: type[BaseModel]) -> dict[str, Any]:
    """A body that is one of these, for the OpenAPI description."""
    schemas = [model.model_json_schema() for model in models]
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    content = {JSON: {"schema": schema}, FORM: {"schema": schema}}
    return {"requestBody": {"required": True, "content": content}}


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise InvalidRequest("the form cannot be read") from None
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise InvalidRequest("the form names a field twice")
    return fields

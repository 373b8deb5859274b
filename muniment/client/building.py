"""Calls built: what the functions of the routes share."""

import re
from datetime import datetime
from enum import Enum
from typing import Final, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, JsonValue

from muniment.client.parsing import read_model
from muniment.client.protocol import Call, Parameters
from muniment.errors import InvalidRequest

Model = TypeVar("Model", bound=BaseModel)
Id = UUID | str

_SEGMENT = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]*")


class _Unchanged(Enum):
    UNCHANGED = "unchanged"


Unchanged = Literal[_Unchanged.UNCHANGED]
UNCHANGED: Final = _Unchanged.UNCHANGED
"""A field that a change leaves as it is, where None takes its value away."""


def get(path: str, model: type[Model], parameters: Parameters | None = None) -> Call[Model]:
    return Call("GET", path, read_model(model), parameters=parameters or {})


def post(path: str, model: type[Model], json: JsonValue = None) -> Call[Model]:
    """One that may be repeated."""
    return Call("POST", path, read_model(model), json=json)


def create(path: str, model: type[Model], json: JsonValue = None) -> Call[Model]:
    """With an Idempotency-Key."""
    return Call("POST", path, read_model(model), json=json, creates=True)


def given(**fields: JsonValue) -> dict[str, JsonValue]:
    """Those that are not None: the API's own defaults stand for the others."""
    return {name: value for name, value in fields.items() if value is not None}


def changed(**fields: JsonValue | Unchanged) -> dict[str, JsonValue]:
    """Those that are to be changed, to None too."""
    return {name: value for name, value in fields.items() if not isinstance(value, _Unchanged)}


def matching(etag: str | None) -> dict[str, str]:
    """The header that has a change refused (PreconditionFailed) where the resource is another by now."""
    return {} if etag is None else {"If-Match": etag}


def segment(value: Id | int) -> str:
    """An id as one segment of a path. Raises InvalidRequest for what would be a path of its own: a
    client resolves `..`, and whoever deletes a file by an id that was sent to it must not delete a group."""
    text = str(value)
    if _SEGMENT.fullmatch(text) is None:
        raise InvalidRequest(
            "what was given as an id is none", remedy="Give the id as the API tells it."
        )
    return text


def id_text(value: Id | None) -> str | None:
    return None if value is None else str(value)


def time_text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()

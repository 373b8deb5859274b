"""What an engine wrote, as the type that it should be: its process may be the document's by then."""

from typing import TypeVar

from pydantic import BaseModel, ValidationError

from muniment.errors import EngineCrashed

FrameT = TypeVar("FrameT", bound=BaseModel)


def decoded(model: type[FrameT], frame: bytes) -> FrameT:
    """The JSON of a frame; EngineCrashed where it is none, or of another type. What it says instead is
    not repeated: it may be anything."""
    try:
        return model.model_validate_json(frame)
    except ValidationError:
        raise EngineCrashed(f"The engine wrote what is no {model.__name__}.") from None

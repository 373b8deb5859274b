"""What clients note of vector stores and files: 16 pairs at most, short keys, plain values."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, StrictBool, StrictFloat, StrictInt

from api.openai_compatible.files.service import PURPOSE_FIELD
from api.storable_text import StorableText

MAX_PAIRS = 16
MAX_KEY_CHARACTERS = 64
MAX_VALUE_CHARACTERS = 512
LARGEST_NUMBER = 1e30

Key = Annotated[StorableText, Field(min_length=1, max_length=MAX_KEY_CHARACTERS)]
Text = Annotated[StorableText, Field(max_length=MAX_VALUE_CHARACTERS)]
Number = Annotated[
    StrictInt | StrictFloat, Field(ge=-LARGEST_NUMBER, le=LARGEST_NUMBER, allow_inf_nan=False)
]


def _unlike_purpose(key: str) -> str:
    if key == PURPOSE_FIELD:
        raise ValueError("is kept for the purpose of the file")
    return key


Attributes = Annotated[
    dict[Annotated[Key, AfterValidator(_unlike_purpose)], Text | StrictBool | Number],
    Field(max_length=MAX_PAIRS),
]
"""Of a file: they are its metadata, the same in every store that holds it."""
Notes = Annotated[dict[Key, Text], Field(max_length=MAX_PAIRS)]
"""Of a vector store."""
ShownAttributes = dict[str, str | bool | int | float]


def attributes_of(metadata: Mapping[str, JsonValue]) -> ShownAttributes:
    """Those of a file's metadata that clients can have set: the first 16 plain values."""
    return dict(list(_plain(metadata).items())[:MAX_PAIRS])


def has_more(metadata: Mapping[str, JsonValue]) -> bool:
    """Whether the file has plain values besides those that are shown, which nobody is to lose unseen."""
    return len(_plain(metadata)) > MAX_PAIRS


def _plain(metadata: Mapping[str, JsonValue]) -> ShownAttributes:
    return {
        name: value
        for name, value in metadata.items()
        if isinstance(value, str | bool | int | float) and name != PURPOSE_FIELD
    }


def replacing(
    metadata: Mapping[str, JsonValue], attributes: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """A merge patch (RFC 7396) that makes these the file's attributes instead of those that are shown;
    what is no attribute stays."""
    return {**dict.fromkeys(attributes_of(metadata)), **attributes}

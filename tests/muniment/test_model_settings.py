"""What is refused of language models before anything is asked of them."""

import pytest
from pydantic import JsonValue, ValidationError

from muniment.settings import LanguageModel

GIVEN: dict[str, JsonValue] = {"name": "own", "url": "https://models.example.com/v1", "model": "m"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://models.example.com:99999/v1"},
        {"url": "https://models.example.com:0/v1"},
        {"url": "https://user:secret@models.example.com/v1"},
        {"url": "ftp://models.example.com/v1"},
        {"api_key": "sk-s\u00e9cret"},
        {"api_key": "sk-secret\n"},
        {"request": {"n": 3}},
        {"request": {"tools": []}},
    ],
)
def test_what_could_not_be_asked_is_refused(wrong: dict[str, JsonValue]) -> None:
    LanguageModel.model_validate(GIVEN)
    with pytest.raises(ValidationError):
        LanguageModel.model_validate({**GIVEN, **wrong})

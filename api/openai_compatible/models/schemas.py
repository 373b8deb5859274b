"""Models as OpenAI's clients see them."""

from enum import StrEnum
from typing import Literal

from pydantic import BaseModel

from retrieval.request import Generate


class ModelName(StrEnum):
    """Ways to answer: `muniment` by a language model where one may be asked, `muniment-extractive` by the
    documents' own sentences, `muniment-llm` by a language model or not at all."""

    AUTO = "muniment"
    EXTRACTIVE = "muniment-extractive"
    LLM = "muniment-llm"

    @property
    def generate(self) -> Generate:
        ways = {
            ModelName.AUTO: Generate.AUTO,
            ModelName.EXTRACTIVE: Generate.EXTRACTIVE,
            ModelName.LLM: Generate.LLM,
        }
        return ways[self]


class ModelObject(BaseModel):
    """`created`: models here have no time of their own."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: Literal["muniment"] = "muniment"


class ModelList(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelObject]

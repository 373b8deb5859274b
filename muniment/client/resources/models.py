"""`/v1/models`: the language models that answer questions."""

from collections.abc import Sequence
from datetime import datetime

from muniment.client.building import get, segment
from muniment.client.models import Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call


class LanguageModel(Record):
    """`state` is available, resting (it failed several times in a row) or paused; `local`: it runs in the
    house."""

    name: str
    model: str = ""
    local: bool = False
    context_tokens: int | None = None
    state: str = "available"
    paused_at: datetime | None = None
    paused_by_operator: bool = False


class Tokens(Record):
    """What models read and wrote for the tenant in this month; `limit` None: any number."""

    used: int = 0
    reserved: int = 0
    limit: int | None = None
    resets_at: datetime | None = None


class LanguageModels(Record):
    """In the order in which they are asked."""

    data: Sequence[LanguageModel] = ()
    tokens: Tokens = Tokens()


def list_models() -> Call[LanguageModels]:
    return get("/v1/models", LanguageModels)


def pause_model(name: str) -> Call[LanguageModel]:
    """Questions go to the others from now on. For administrators."""
    return _ordered(name, "pause")


def resume_model(name: str) -> Call[LanguageModel]:
    """For administrators. Conflict while the operator's pause holds."""
    return _ordered(name, "resume")


def _ordered(name: str, order: str) -> Call[LanguageModel]:
    path = f"/v1/models/{segment(name)}/{order}"
    return Call("POST", path, read_model(LanguageModel), repeatable=True)


class ModelOperations:
    """`/v1/models`."""

    list = Operation(list_models)
    pause = Operation(pause_model)
    resume = Operation(resume_model)


class Models(ModelOperations, Resource):
    """`/v1/models`."""


class AsyncModels(ModelOperations, AsyncResource):
    """`/v1/models`."""

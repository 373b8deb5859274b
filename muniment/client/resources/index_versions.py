"""`/v1/index-versions`: search by meaning with another model, for administrators."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from muniment.client.building import Id, create, get, given, post, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.protocol import Call

_PATH = "/v1/index-versions"


class IndexEvaluation(Record):
    """`overlap`: the share of what the active index version finds that this one finds too; `recall`: the
    share of what it holds that a search of it finds."""

    questions: int = 0
    overlap: float | None = None
    recall: float | None = None


class IndexVersion(Record):
    """`state` is building, ready, active, superseded (until `retire_at`) or retired; `outcome` says of a
    retired one whether it was replaced, cancelled, or failed."""

    id: UUID
    model: str
    model_version: str = ""
    dimensions: int = 0
    state: str
    outcome: str | None = None
    activation: str = "manual"
    paused: bool = False
    percent: float = 0.0
    passages_total: int = 0
    passages_done: int = 0
    evaluation: IndexEvaluation | None = None
    created_at: datetime | None = None
    activated_at: datetime | None = None
    retire_at: datetime | None = None


def list_index_versions(
    *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[IndexVersion]]:
    """Newest first."""
    return get(_PATH, Listing[IndexVersion], {"limit": limit, "cursor": cursor})


def get_index_version(index_version_id: Id) -> Call[IndexVersion]:
    return get(f"{_PATH}/{segment(index_version_id)}", IndexVersion)


def create_index_version(
    model: str | None = None, *, activation: Literal["manual", "automatic"] | None = None
) -> Call[IndexVersion]:
    """Has one built beside the active one; without a `model` of the release's default."""
    return create(_PATH, IndexVersion, given(model=model, activation=activation))


def activate_index_version(index_version_id: Id) -> Call[IndexVersion]:
    """It is searched from now on."""
    return _ordered(index_version_id, "activate")


def roll_back_index_version(index_version_id: Id) -> Call[IndexVersion]:
    """From the active one to the one before, which is answered. Conflict where it is not the active one any
    more: a repetition goes back no further."""
    return _ordered(index_version_id, "rollback")


def cancel_index_version(index_version_id: Id) -> Call[IndexVersion]:
    return _ordered(index_version_id, "cancel")


def pause_index_version(index_version_id: Id) -> Call[IndexVersion]:
    return _ordered(index_version_id, "pause")


def resume_index_version(index_version_id: Id) -> Call[IndexVersion]:
    return _ordered(index_version_id, "resume")


def _ordered(index_version_id: Id, order: str) -> Call[IndexVersion]:
    return post(f"{_PATH}/{segment(index_version_id)}/{order}", IndexVersion)


class IndexVersionOperations:
    """`/v1/index-versions`."""

    list = Operation(list_index_versions)
    get = Operation(get_index_version)
    create = Operation(create_index_version)
    activate = Operation(activate_index_version)
    roll_back = Operation(roll_back_index_version)
    cancel = Operation(cancel_index_version)
    pause = Operation(pause_index_version)
    resume = Operation(resume_index_version)


class IndexVersions(IndexVersionOperations, Resource):
    """`/v1/index-versions`."""


class AsyncIndexVersions(IndexVersionOperations, AsyncResource):
    """`/v1/index-versions`."""

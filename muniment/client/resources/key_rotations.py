"""`/v1/keys/rotations`: the tenant's key, for administrators."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, get, post, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.protocol import Call

_PATH = "/v1/keys/rotations"


class KeyRotation(Record):
    """How far a rotation has come. Of two rounds over the data keys, the second begins at `retire_at`;
    afterwards the versions before `to_version` unwrap nothing any more."""

    id: UUID
    state: str
    created_at: datetime | None = None
    finished_at: datetime | None = None
    provider: str | None = None
    from_version: int | None = None
    to_version: int | None = None
    round: int = 1
    percent: float = 0.0
    keys_looked_at: int = 0
    keys_rewrapped: int = 0
    keys_unreadable: int = 0
    retire_at: datetime | None = None


def rotate_keys() -> Call[KeyRotation]:
    """A new version of the key; one that is at work answers with itself."""
    return post(_PATH, KeyRotation)


def list_key_rotations(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[KeyRotation]]:
    """Newest first."""
    return get(_PATH, Listing[KeyRotation], {"limit": limit, "cursor": cursor})


def get_key_rotation(rotation_id: Id) -> Call[KeyRotation]:
    return get(f"{_PATH}/{segment(rotation_id)}", KeyRotation)


class KeyOperations:
    """`/v1/keys/rotations`."""

    rotate = Operation(rotate_keys)
    rotations = Operation(list_key_rotations)
    rotation = Operation(get_key_rotation)


class Keys(KeyOperations, Resource):
    """`/v1/keys/rotations`: the tenant's key, for administrators."""


class AsyncKeys(KeyOperations, AsyncResource):
    """`/v1/keys/rotations`: the tenant's key, for administrators."""

"""`/v1/grants`: who may read, write or manage what."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from muniment.client.building import Id, create, get, given, id_text, matching, segment
from muniment.client.models import Listing, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call

Level = Literal["read", "write", "manage"]

_PATH = "/v1/grants"


class Grant(Tagged):
    """To a principal or a group, on a file or a collection. Each level holds the one before it."""

    id: UUID
    principal_id: UUID | None = None
    group_id: UUID | None = None
    file_id: UUID | None = None
    collection_id: UUID | None = None
    level: str
    created_at: datetime | None = None


def list_grants(
    *,
    file_id: Id | None = None,
    collection_id: Id | None = None,
    principal_id: Id | None = None,
    group_id: Id | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[Grant]]:
    """Newest first: those on what the caller manages, and those to itself or its groups."""
    parameters = {
        "file": id_text(file_id),
        "collection": id_text(collection_id),
        "principal": id_text(principal_id),
        "group": id_text(group_id),
        "limit": limit,
        "cursor": cursor,
    }
    return get(_PATH, Listing[Grant], parameters)


def get_grant(grant_id: Id) -> Call[Grant]:
    return Call("GET", f"{_PATH}/{segment(grant_id)}", read_model(Grant))


def create_grant(
    level: Level,
    *,
    principal_id: Id | None = None,
    group_id: Id | None = None,
    file_id: Id | None = None,
    collection_id: Id | None = None,
) -> Call[Grant]:
    """To one of principal and group, on one of file and collection; a pair that has a grant has this
    level from now on."""
    who_and_what = given(
        principal_id=id_text(principal_id),
        group_id=id_text(group_id),
        file_id=id_text(file_id),
        collection_id=id_text(collection_id),
    )
    return create(_PATH, Grant, {"level": level, **who_and_what})


def delete_grant(grant_id: Id, *, etag: str | None = None) -> Call[None]:
    return Call("DELETE", f"{_PATH}/{segment(grant_id)}", read_nothing, headers=matching(etag))


class GrantOperations:
    """`/v1/grants`."""

    list = Operation(list_grants)
    get = Operation(get_grant)
    create = Operation(create_grant)
    delete = Operation(delete_grant)


class Grants(GrantOperations, Resource):
    """`/v1/grants`."""


class AsyncGrants(GrantOperations, AsyncResource):
    """`/v1/grants`."""

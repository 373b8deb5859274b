"""`/v1/groups`: groups of principals, and who belongs to them."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, matching
from muniment.client.models import Listing, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_nothing, read_tagged
from muniment.client.protocol import Call
from muniment.client.resources.principals import Principal

_PATH = "/v1/groups"


class Group(Tagged):
    """What is granted to it, its members have."""

    id: UUID
    name: str
    created_at: datetime | None = None


def list_groups(
    *, name: str | None = None, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Group]]:
    """Newest first; `name` exactly."""
    return get(_PATH, Listing[Group], {"name": name, "limit": limit, "cursor": cursor})


def get_group(group_id: Id) -> Call[Group]:
    return Call("GET", f"{_PATH}/{group_id}", read_tagged(Group))


def create_group(name: str) -> Call[Group]:
    return create(_PATH, Group, {"name": name})


def rename_group(group_id: Id, name: str, *, etag: str | None = None) -> Call[Group]:
    """With the `etag` of a Group that was read: PreconditionFailed if it has been changed since."""
    return Call(
        "PATCH",
        f"{_PATH}/{group_id}",
        read_tagged(Group),
        json={"name": name},
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_group(group_id: Id, *, etag: str | None = None) -> Call[None]:
    """With what was granted to it."""
    return Call("DELETE", f"{_PATH}/{group_id}", read_nothing, headers=matching(etag))


def list_members(
    group_id: Id, *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Principal]]:
    parameters = {"limit": limit, "cursor": cursor}
    return get(f"{_PATH}/{group_id}/members", Listing[Principal], parameters)


def add_member(group_id: Id, principal_id: Id) -> Call[None]:
    return Call("PUT", f"{_PATH}/{group_id}/members/{principal_id}", read_nothing)


def remove_member(group_id: Id, principal_id: Id) -> Call[None]:
    return Call("DELETE", f"{_PATH}/{group_id}/members/{principal_id}", read_nothing)


class GroupOperations:
    """`/v1/groups`."""

    list = Operation(list_groups)
    get = Operation(get_group)
    create = Operation(create_group)
    rename = Operation(rename_group)
    delete = Operation(delete_group)
    members = Operation(list_members)
    add_member = Operation(add_member)
    remove_member = Operation(remove_member)


class Groups(GroupOperations, Resource):
    """`/v1/groups`."""


class AsyncGroups(GroupOperations, AsyncResource):
    """`/v1/groups`."""

"""`/v1/groups`: groups of principals, and who belongs to them."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, matching, segment
from muniment.client.models import Listing, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
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
    return Call("GET", f"{_PATH}/{segment(group_id)}", read_model(Group))


def create_group(name: str) -> Call[Group]:
    return create(_PATH, Group, {"name": name})


def rename_group(group_id: Id, name: str, *, etag: str | None = None) -> Call[Group]:
    """With the `etag` of a Group that was read: PreconditionFailed if it has been changed since."""
    return Call(
        "PATCH",
        f"{_PATH}/{segment(group_id)}",
        read_model(Group),
        json={"name": name},
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_group(group_id: Id, *, etag: str | None = None) -> Call[None]:
    """With what was granted to it."""
    return Call("DELETE", f"{_PATH}/{segment(group_id)}", read_nothing, headers=matching(etag))


def list_members(
    group_id: Id, *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[Principal]]:
    parameters = {"limit": limit, "cursor": cursor}
    return get(f"{_PATH}/{segment(group_id)}/members", Listing[Principal], parameters)


def add_member(group_id: Id, principal_id: Id, *, etag: str | None = None) -> Call[None]:
    """`etag`: of the Group."""
    return Call("PUT", _member(group_id, principal_id), read_nothing, headers=matching(etag))


def remove_member(group_id: Id, principal_id: Id, *, etag: str | None = None) -> Call[None]:
    """`etag`: of the Group."""
    return Call("DELETE", _member(group_id, principal_id), read_nothing, headers=matching(etag))


def _member(group_id: Id, principal_id: Id) -> str:
    return f"{_PATH}/{segment(group_id)}/members/{segment(principal_id)}"


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

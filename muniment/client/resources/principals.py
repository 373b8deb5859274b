"""`/v1/principals`: the people and programs of the tenant."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from muniment.client.building import Id, create, get, given, id_text, matching, segment
from muniment.client.models import Listing, Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call

PrincipalKind = Literal["user", "service"]

_PATH = "/v1/principals"


class Principal(Tagged):
    """A person (`user`) or a program (`service`); one that is disabled cannot come in."""

    id: UUID
    kind: str
    name: str
    is_admin: bool = False
    disabled_at: datetime | None = None
    created_at: datetime | None = None


class Identity(Record):
    """What the issuer outside calls a principal: `sub` in its tokens."""

    issuer: str
    subject: str
    created_at: datetime | None = None


def list_principals(
    *,
    name: str | None = None,
    kind: PrincipalKind | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[Principal]]:
    """Newest first, those that are disabled too; `name` exactly."""
    parameters = {"name": name, "kind": kind, "limit": limit, "cursor": cursor}
    return get(_PATH, Listing[Principal], parameters)


def get_principal(principal_id: Id) -> Call[Principal]:
    return Call("GET", f"{_PATH}/{segment(principal_id)}", read_model(Principal))


def create_principal(
    name: str, *, kind: PrincipalKind = "user", is_admin: bool = False
) -> Call[Principal]:
    """It can do nothing until it has an API key, or a person a password."""
    return create(_PATH, Principal, {"kind": kind, "name": name, "is_admin": is_admin})


def change_principal(
    principal_id: Id,
    *,
    name: str | None = None,
    is_admin: bool | None = None,
    disabled: bool | None = None,
    etag: str | None = None,
) -> Call[Principal]:
    """What is None stays. With the `etag` of a Principal that was read: PreconditionFailed if it has been
    changed since."""
    return Call(
        "PATCH",
        f"{_PATH}/{segment(principal_id)}",
        read_model(Principal),
        json=given(name=name, is_admin=is_admin, disabled=disabled),
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_principal(
    principal_id: Id, *, successor: Id | None = None, etag: str | None = None
) -> Call[None]:
    """Conflict while it owns something, and no successor is named that this goes to."""
    return Call(
        "DELETE",
        f"{_PATH}/{segment(principal_id)}",
        read_nothing,
        parameters={"successor": id_text(successor)},
        headers=matching(etag),
    )


def set_password(principal_id: Id, password: str, *, etag: str | None = None) -> Call[None]:
    """Of a person; ends what it signed in to before."""
    path = f"{_PATH}/{segment(principal_id)}/password"
    return Call("PUT", path, read_nothing, json={"password": password}, headers=matching(etag))


def get_identity(principal_id: Id) -> Call[Identity]:
    return get(f"{_PATH}/{segment(principal_id)}/identity", Identity)


def bind_identity(principal_id: Id, subject: str, *, etag: str | None = None) -> Call[Identity]:
    """The issuer's tokens with this `sub` mean the principal from now on. `etag`: of the Principal."""
    path = f"{_PATH}/{segment(principal_id)}/identity"
    json = {"subject": subject}
    return Call("PUT", path, read_model(Identity), json=json, headers=matching(etag))


def unbind_identity(principal_id: Id, *, etag: str | None = None) -> Call[None]:
    path = f"{_PATH}/{segment(principal_id)}/identity"
    return Call("DELETE", path, read_nothing, headers=matching(etag))


class PrincipalOperations:
    """`/v1/principals`."""

    list = Operation(list_principals)
    get = Operation(get_principal)
    create = Operation(create_principal)
    change = Operation(change_principal)
    delete = Operation(delete_principal)
    set_password = Operation(set_password)
    identity = Operation(get_identity)
    bind_identity = Operation(bind_identity)
    unbind_identity = Operation(unbind_identity)


class Principals(PrincipalOperations, Resource):
    """`/v1/principals`."""


class AsyncPrincipals(PrincipalOperations, AsyncResource):
    """`/v1/principals`."""

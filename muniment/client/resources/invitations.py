"""`/v1/invitations`: who may become a principal by a secret that is good once."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, segment, time_text
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_PATH = "/v1/invitations"


class Invitation(Record):
    """`state` is open, accepted, revoked or expired; `principal_id`: who came of it. `token`, the secret
    itself, stands in the answer that made it, and nowhere else."""

    id: UUID
    name: str
    is_admin: bool = False
    groups: Sequence[UUID] = ()
    state: str = "open"
    created_by: UUID | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    accepted_at: datetime | None = None
    revoked_at: datetime | None = None
    principal_id: UUID | None = None
    token: str | None = None


class AcceptedInvitation(Record):
    """Who came of it, and what it signs in with."""

    principal_id: UUID
    name: str
    tenant: str


def list_invitations(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Invitation]]:
    """Newest first."""
    return get(_PATH, Listing[Invitation], {"limit": limit, "cursor": cursor})


def get_invitation(invitation_id: Id) -> Call[Invitation]:
    return get(f"{_PATH}/{segment(invitation_id)}", Invitation)


def create_invitation(
    name: str,
    *,
    is_admin: bool = False,
    groups: Sequence[Id] = (),
    expires_at: datetime | None = None,
) -> Call[Invitation]:
    """Of a person, by the name that it will sign in with. Its `token` is told this once. None, if the
    answer to a first attempt was lost: then revoke it, and make another."""
    json: dict[str, JsonValue] = {
        "name": name,
        "is_admin": is_admin,
        "groups": [str(group) for group in groups],
    }
    return create(_PATH, Invitation, json | given(expires_at=time_text(expires_at)))


def revoke_invitation(invitation_id: Id) -> Call[Invitation]:
    """At once and for good."""
    return Call("DELETE", f"{_PATH}/{segment(invitation_id)}", read_model(Invitation))


def accept_invitation(
    token: str, *, password: str | None = None, issuer_token: str | None = None
) -> Call[AcceptedInvitation]:
    """With a password, or an access token of the issuer. Not repeated after it may have arrived: who
    accepted it signs in."""
    json = {"token": token} | given(password=password, issuer_token=issuer_token)
    path = f"{_PATH}/accept"
    return Call("POST", path, read_model(AcceptedInvitation), json=json, repeatable=False)


class InvitationOperations:
    """`/v1/invitations`."""

    list = Operation(list_invitations)
    get = Operation(get_invitation)
    create = Operation(create_invitation)
    revoke = Operation(revoke_invitation)
    accept = Operation(accept_invitation)


class Invitations(InvitationOperations, Resource):
    """`/v1/invitations`."""


class AsyncInvitations(InvitationOperations, AsyncResource):
    """`/v1/invitations`."""

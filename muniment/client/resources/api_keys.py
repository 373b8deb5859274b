"""`/v1/api-keys`: what programs come with."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, given, id_text, segment, time_text
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_PATH = "/v1/api-keys"


class ApiKey(Record):
    """`prefix` is how the key begins. `secret`, the key itself, stands in the answer that made it, and
    nowhere else."""

    id: UUID
    principal_id: UUID
    name: str
    prefix: str = ""
    scopes: Sequence[str] = ()
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    created_at: datetime | None = None
    secret: str | None = None


def list_api_keys(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[ApiKey]]:
    """One's own; for an administrator all of the tenant's. Newest first."""
    return get(_PATH, Listing[ApiKey], {"limit": limit, "cursor": cursor})


def create_api_key(
    name: str,
    scopes: Sequence[str],
    *,
    expires_at: datetime | None = None,
    principal_id: Id | None = None,
) -> Call[ApiKey]:
    """For oneself or, by an administrator, for another. Its `secret` is told this once. None, if the
    answer to a first attempt was lost: then revoke it, and make another."""
    chosen = given(expires_at=time_text(expires_at), principal_id=id_text(principal_id))
    return create(_PATH, ApiKey, {"name": name, "scopes": [*scopes], **chosen})


def revoke_api_key(key_id: Id) -> Call[ApiKey]:
    """At once and for good."""
    return Call("DELETE", f"{_PATH}/{segment(key_id)}", read_model(ApiKey))


class ApiKeyOperations:
    """`/v1/api-keys`."""

    list = Operation(list_api_keys)
    create = Operation(create_api_key)
    revoke = Operation(revoke_api_key)


class ApiKeys(ApiKeyOperations, Resource):
    """`/v1/api-keys`."""


class AsyncApiKeys(ApiKeyOperations, AsyncResource):
    """`/v1/api-keys`."""

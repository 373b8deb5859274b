"""`/v1/tenants`: for those who operate the service."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, create, get, matching, segment
from muniment.client.models import Listing, Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model
from muniment.client.protocol import Call

_PATH = "/v1/tenants"


class FirstAdministrator(Record):
    """A program's principal with an `api_key` of every scope, told this once."""

    id: UUID
    name: str
    api_key: str | None = None


class Tenant(Tagged):
    """Whose data it is. `administrator` stands in the answer that made the tenant, and nowhere else."""

    id: UUID
    name: str
    is_operator: bool = False
    disabled_at: datetime | None = None
    created_at: datetime | None = None
    administrator: FirstAdministrator | None = None


def list_tenants(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Tenant]]:
    """Newest first."""
    return get(_PATH, Listing[Tenant], {"limit": limit, "cursor": cursor})


def get_tenant(tenant_id: Id) -> Call[Tenant]:
    return get(f"{_PATH}/{segment(tenant_id)}", Tenant)


def create_tenant(name: str, *, administrator: str = "administrator") -> Call[Tenant]:
    """With its first administrator, whose key makes people."""
    return create(_PATH, Tenant, {"name": name, "administrator": administrator})


def change_tenant(tenant_id: Id, *, disabled: bool, etag: str | None = None) -> Call[Tenant]:
    """Nobody comes into one that is disabled. With the `etag` of a Tenant that was read:
    PreconditionFailed if it has been changed since."""
    return Call(
        "PATCH",
        f"{_PATH}/{segment(tenant_id)}",
        read_model(Tenant),
        json={"disabled": disabled},
        headers=matching(etag),
        repeatable=etag is None,
    )


class TenantOperations:
    """`/v1/tenants`."""

    list = Operation(list_tenants)
    get = Operation(get_tenant)
    create = Operation(create_tenant)
    change = Operation(change_tenant)


class Tenants(TenantOperations, Resource):
    """`/v1/tenants`."""


class AsyncTenants(TenantOperations, AsyncResource):
    """`/v1/tenants`."""

"""What a tenant shows of itself: who may be granted something, what it keeps, what was done."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, get, id_text
from muniment.client.models import Listing, Record
from muniment.client.operations import Operation
from muniment.client.parsing import read_nothing
from muniment.client.protocol import Call


class DirectoryEntry(Record):
    """`kind` is user, service or group; `id` is what a grant names."""

    kind: str
    id: UUID
    name: str


class DirectoryMatches(Record):
    """By name. `truncated`: there are more."""

    data: Sequence[DirectoryEntry] = ()
    truncated: bool = False


class Allowance(Record):
    """How much there is, and how much there may be; `limit` None: any amount."""

    used: int = 0
    limit: int | None = None


class Quotas(Record):
    """What the tenant keeps, the trash included."""

    bytes: Allowance = Allowance()
    files: Allowance = Allowance()
    pages: Allowance = Allowance()


class AuditEvent(Record):
    """One act, written in the transaction of what it reports. `seq` is its place in the sealed trail, None
    for some seconds. `payload` and `origin` are None where they were erased."""

    id: UUID
    seq: int | None = None
    at: datetime
    actor_id: UUID | None = None
    actor_kind: str = ""
    action: str
    object_type: str = ""
    object_id: UUID | None = None
    request_id: str | None = None
    workflow_id: str | None = None
    origin: str | None = None
    payload: Mapping[str, JsonValue] | None = {}


class Me(Record):
    """Whoever calls, and what it came with: an `api_key`, a `sign_in`, or an `issuer`'s token."""

    id: UUID
    kind: str
    name: str
    is_admin: bool = False
    tenant_id: UUID
    tenant: str = ""
    scopes: Sequence[str] = ()
    came_with: str = ""


def look_up(query: str, *, limit: int = 20) -> Call[DirectoryMatches]:
    """People, programs and groups whose names contain the query."""
    return get("/v1/directory", DirectoryMatches, {"query": query, "limit": limit})


def get_quotas() -> Call[Quotas]:
    """What the tenant keeps, and may keep."""
    return get("/v1/quotas", Quotas)


def list_audit_events(
    *,
    action: str | None = None,
    object_id: Id | None = None,
    actor_id: Id | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[AuditEvent]]:
    """Newest first."""
    parameters = {
        "action": action,
        "object": id_text(object_id),
        "actor": id_text(actor_id),
        "limit": limit,
        "cursor": cursor,
    }
    return get("/v1/audit", Listing[AuditEvent], parameters)


def get_me() -> Call[Me]:
    """Whoever calls, and what it came with."""
    return get("/v1/auth/me", Me)


def change_password(current_password: str, new_password: str) -> Call[None]:
    """One's own, for a person who signed in. Not repeated after it may have arrived."""
    json = {"current_password": current_password, "new_password": new_password}
    return Call("POST", "/v1/auth/password", read_nothing, json=json, repeatable=False)


class TenantOwnOperations:
    """What the clients themselves do besides uploads, searches and answers."""

    directory = Operation(look_up)
    quotas = Operation(get_quotas)
    audit = Operation(list_audit_events)
    me = Operation(get_me)
    change_password = Operation(change_password)

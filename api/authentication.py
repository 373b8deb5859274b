"""Who calls, and whether the key's scope allows the route.

Every route depends on one `require(scope)`, or is listed in `PUBLIC_PATHS` or `SHARE_PATHS`; a test walks
them all. What the caller may see of what the route serves is decided by the database, file by file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import JsonValue

from api.services import Provided
from db.audit import Act
from db.queries import access
from db.queries.access import AuthenticatedKey
from db.session import Access
from muniment.api_keys import ALL_SCOPES, hash_api_key, is_well_formed
from muniment.errors import Forbidden, Unauthenticated
from muniment.telemetry import context

PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
"""Served without a key; none of them tells anything of a tenant."""
SHARE_PATHS = frozenset({"/s/{token}", "/s/{token}/content"})
"""Served without a key to whoever has a link: its token is the proof, as a key would be, and leads to one
file, on the conditions of whoever made it."""
PUBLIC_METHODS = frozenset({"OPTIONS"})
"""Of every path that has it: tells what a protocol can, which browsers ask for without a key."""

BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="API key",
    description="`Authorization: Bearer mun_…`",
)


@dataclass(frozen=True)
class Caller:
    """The principal behind a request, and what its key allows."""

    tenant_id: UUID
    principal_id: UUID
    key_id: UUID
    scopes: frozenset[str]
    is_admin: bool

    @property
    def access(self) -> Access:
        """For transactions: row-level security and visibility act on it."""
        return Access(self.tenant_id, self.principal_id)

    @property
    def may_decide_quarantine(self) -> bool:
        return "quarantine:decide" in self.scopes

    def act(
        self,
        action: str,
        object_type: str,
        object_id: UUID | None,
        payload: Mapping[str, JsonValue] | None = None,
    ) -> Act:
        """An audit event of this caller in this request."""
        return Act(
            action=action,
            object_type=object_type,
            object_id=object_id,
            tenant_id=self.tenant_id,
            actor_id=self.principal_id,
            request_id=context.request_id(),
            payload=dict(payload or {}),
        )


Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)]


class RequireScope:
    """A dependency: the caller, if its key is valid and has the scope."""

    def __init__(self, scope: str) -> None:
        if scope not in ALL_SCOPES:
            raise ValueError(f"{scope} is no scope")
        self.scope = scope

    async def __call__(
        self, request: Request, services: Provided, credentials: Credentials
    ) -> Caller:
        """Raises Unauthenticated, or Forbidden naming the scope that is missing. `credentials` is
        what makes the OpenAPI description ask for a key."""
        caller = await authenticate(request, services)
        if self.scope not in caller.scopes:
            raise Forbidden(f"the key lacks the scope {self.scope}")
        return caller


def require(scope: str) -> RequireScope:
    return RequireScope(scope)


async def authenticate(request: Request, services: Provided) -> Caller:
    """The caller behind the request's API key."""
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated("the request carries no bearer key")
    if not is_well_formed(secret):
        raise Unauthenticated("the bearer key is not a well-formed API key")
    async with services.database.across_tenants() as session:
        found = await access.authenticate(session, hash_api_key(secret))
    if found is None:
        raise Unauthenticated("the API key is unknown, expired or revoked")
    return caller_of(found)


def caller_of(found: AuthenticatedKey) -> Caller:
    """The caller that a proof was found to belong to; every log line carries its ids from here on."""
    context.bind({"tenant_id": str(found.tenant_id), "principal_id": str(found.principal_id)})
    return Caller(found.tenant_id, found.principal_id, found.key_id, found.scopes, found.is_admin)

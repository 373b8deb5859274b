"""Who calls, and whether the scope of what it came with allows the route.

Every route depends on one `require(scope)`, or is listed in `PUBLIC_PATHS`, `PUBLIC_ROUTES`, in
`SHARE_PATHS`, or, where it is about the caller alone, in `OWN_PATHS`; a test walks them all.
What the caller may see of what the route serves is decided by the database, file by file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPAuthorizationCredentials, HTTPBearer
from pydantic import JsonValue

from api.oidc.people import looks_issued, recognise
from api.services import Provided, Services
from api.sessions.cookie import NAME, require_not_planted, session_cookie
from api.sessions.own_page import CSRF_HEADER, SAFE_METHODS, require_csrf_token, require_own_page
from db.audit import Act
from db.queries import access
from db.queries.access import Authenticated
from db.session import Access
from muniment.api_keys import ALL_SCOPES, Prefix, hash_api_key, is_well_formed
from muniment.errors import Forbidden, Unauthenticated
from muniment.telemetry import context

PUBLIC_PATHS = frozenset(
    {
        "/healthz",
        "/readyz",
        "/openapi.json",
        "/docs",
        "/v1/auth/token",
        "/v1/auth/revoke",
        "/v1/invitations/accept",
    }
)
"""Served without a key: none of them tells anything of a tenant, but to whom its body proves itself."""
PUBLIC_ROUTES = frozenset({("POST", "/v1/auth/session")})
"""Likewise, of a path whose other methods are not."""
OWN_PATHS = frozenset({"/v1/auth/me", "/v1/auth/password", "/v1/auth/session"})
"""For every key and token: they are about whoever calls."""
SHARE_PATHS = frozenset({"/s/{token}", "/s/{token}/content"})
"""Served without a key to whoever has a link: its token is the proof, as a key would be, and leads to one
file, on the conditions of whoever made it."""
PUBLIC_METHODS = frozenset({"OPTIONS"})
"""Of every path that has it: tells what a protocol can, which browsers ask for without a key."""

BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="API key",
    description="`Authorization: Bearer mun_…` (an API key), `munat_…` (an access token), or an access"
    " token of the configured issuer. Browsers may come with the cookie of /v1/auth/session instead.",
)
SESSION = APIKeyCookie(
    name=NAME,
    auto_error=False,
    scheme_name="Session",
    description="The cookie of /v1/auth/session; on this machine without TLS `muniment_session_PORT`."
    f" What changes something needs `{CSRF_HEADER}` beside it.",
)


@dataclass(frozen=True)
class Caller:
    """The principal behind a request, what it came with (an API key, the token or the cookie of a
    sign-in, or the token of an issuer, which `ends_at` its own time and is for the subject of
    `identity_hash`), and what that allows."""

    tenant_id: UUID
    principal_id: UUID
    key_id: UUID | None
    scopes: frozenset[str]
    is_admin: bool
    sign_in_id: UUID | None = None
    ends_at: datetime | None = None
    identity_hash: bytes | None = None

    @property
    def access(self) -> Access:
        """For transactions: row-level security and visibility act on it."""
        return Access(self.tenant_id, self.principal_id)

    @property
    def came_with(self) -> tuple[str, UUID | None]:
        """What it came with, as audit events name it."""
        if self.key_id is not None:
            return "api_key", self.key_id
        if self.sign_in_id is not None:
            return "sign_in", self.sign_in_id
        return "principal", self.principal_id

    @property
    def may_decide_quarantine(self) -> bool:
        return "quarantine:decide" in self.scopes

    @property
    def may_reveal_findings(self) -> bool:
        return "findings:reveal" in self.scopes

    @property
    def may_manage_holds(self) -> bool:
        return "holds:manage" in self.scopes

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


async def _described(
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    cookie: Annotated[str | None, Security(SESSION)],
) -> None:
    """For the OpenAPI description alone: `authenticate` looks at the request. A coroutine as every
    dependency is (`api.services`)."""


Credentials = Annotated[None, Depends(_described)]


class RequireCaller:
    """A dependency: the caller, whatever it came with allows."""

    async def __call__(
        self, request: Request, services: Provided, credentials: Credentials
    ) -> Caller:
        """Raises Unauthenticated, and RateLimitExceeded for one request too many. `credentials` is
        what makes the OpenAPI description ask for a key."""
        caller = await authenticate(request, services)
        services.rate_limits.take(request.scope, caller.tenant_id, caller.principal_id)
        return caller


class RequireScope(RequireCaller):
    """A dependency: the caller, if its key or token is valid and has the scope."""

    def __init__(self, scope: str) -> None:
        if scope not in ALL_SCOPES:
            raise ValueError(f"{scope} is no scope")
        self.scope = scope

    async def __call__(
        self, request: Request, services: Provided, credentials: Credentials
    ) -> Caller:
        """Raises Unauthenticated, or Forbidden naming the scope that is missing."""
        caller = await super().__call__(request, services, credentials)
        if self.scope not in caller.scopes:
            raise lacks(self.scope, caller)
        return caller


def require(scope: str) -> RequireScope:
    return RequireScope(scope)


def lacks(scope: str, caller: Caller) -> Forbidden:
    """The error for a caller without the scope."""
    held = "token" if caller.key_id is None else "key"
    return Forbidden(f"the {held} lacks the scope {scope}")


async def authenticate(request: Request, services: Provided) -> Caller:
    """The caller behind the request's API key or access token, or, where it carries no Authorization,
    behind the cookie of a browser's session."""
    if (cookie := session_cookie(request)) is not None:
        return await _by_cookie(request, services, cookie)
    scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
    secret = secret.strip()
    if scheme.lower() != "bearer" or not secret:
        raise Unauthenticated("the request carries no bearer key")
    if secret.startswith(Prefix.ACCESS_TOKEN):
        return await _by_token(services, secret)
    issuer = services.people.issuer
    if issuer is not None and looks_issued(secret):
        return caller_of(await recognise(services.database, issuer, secret))
    if not is_well_formed(secret):
        raise Unauthenticated("the bearer key is not a well-formed API key")
    async with services.database.one_statement() as session:
        found = await access.authenticate(session, hash_api_key(secret))
    if found is None:
        raise Unauthenticated("the API key is unknown, expired or revoked")
    return caller_of(found)


async def _by_token(services: Provided, token: str) -> Caller:
    if not is_well_formed(token, Prefix.ACCESS_TOKEN):
        raise Unauthenticated("the bearer token is not a well-formed access token")
    async with services.database.one_statement() as session:
        found = await access.authenticate_access_token(session, hash_api_key(token))
    if found is None:
        raise Unauthenticated(
            "the access token is unknown or expired, or its sign-in has ended",
            remedy="Get a new one at /v1/auth/token, with the refresh token or by signing in.",
        )
    return caller_of(found)


async def _by_cookie(request: Request, services: Services, cookie: str) -> Caller:
    """Browsers send cookies whoever has them do it: what is to change something comes from our own
    pages, and proves it."""
    if is_well_formed(cookie, Prefix.SESSION):
        unused = services.people.lifetimes.refresh
        async with services.database.one_statement() as session:
            found = await access.authenticate_session(session, hash_api_key(cookie), unused)
        if found is not None:
            if request.method not in SAFE_METHODS:
                require_own_page(request)
                require_not_planted(request)
                require_csrf_token(request, cookie)
            return caller_of(found)
    raise Unauthenticated(
        "the session of the cookie is unknown or expired, or has ended",
        remedy="Sign in at /v1/auth/session.",
    )


def caller_of(found: Authenticated) -> Caller:
    """The caller that a proof was found to belong to; every log line carries its ids from here on."""
    context.bind({"tenant_id": str(found.tenant_id), "principal_id": str(found.principal_id)})
    return Caller(
        found.tenant_id,
        found.principal_id,
        found.key_id,
        found.scopes,
        found.is_admin,
        found.sign_in_id,
        found.ends_at,
        found.identity_hash,
    )

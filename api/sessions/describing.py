"""The proof that a cookie needs beside it, in the OpenAPI description."""

from collections.abc import Sequence
from typing import Any

from fastapi.routing import APIRoute, APIRouter

from api.authentication import PUBLIC_PATHS, PUBLIC_ROUTES, SHARE_PATHS
from api.sessions.own_page import CSRF_HEADER, SAFE_METHODS

PARAMETER: dict[str, Any] = {
    "name": CSRF_HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "With the cookie of a session: the `csrf_token` of /v1/auth/session.",
}


def describe_proofs(routers: Sequence[APIRouter]) -> None:
    """Of every route that changes something and takes the cookie; again has no effect."""
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute) and _needs_proof(route):
                extra = route.openapi_extra or {}
                others = [each for each in extra.get("parameters", []) if each != PARAMETER]
                route.openapi_extra = {**extra, "parameters": [*others, PARAMETER]}


def _needs_proof(route: APIRoute) -> bool:
    if route.path in PUBLIC_PATHS | SHARE_PATHS:
        return False
    return any(
        method not in SAFE_METHODS and (method, route.path) not in PUBLIC_ROUTES
        for method in route.methods or ()
    )

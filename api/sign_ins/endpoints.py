"""`/v1/auth`, and `/v1/principals/{id}/password`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.authentication import Caller, RequireCaller, require
from api.preconditions import IfMatch
from api.problem_responses import documented, problems
from api.services import Provided
from api.sign_ins import service
from api.sign_ins.form import described, read_form_or_json
from api.sign_ins.schemas import (
    Me,
    PasswordChange,
    PasswordGrant,
    PasswordToSet,
    RefreshGrant,
    RevokeRequest,
    TokenRequest,
    Tokens,
)

router = APIRouter(prefix="/v1", tags=["signing in"])

Manager = Annotated[Caller, Depends(require("principals:manage"))]
Anyone = Annotated[Caller, Depends(RequireCaller())]


@router.post(
    "/auth/token",
    summary="Sign in, or get new tokens",
    openapi_extra=described(PasswordGrant, RefreshGrant),
    responses=documented(400, 401, 415, 422, 429, 503, 507),
)
async def create_tokens(request: Request, services: Provided) -> Tokens:
    """With name and password (`grant_type=password`), or with a refresh token, which is good once: used
    again, it ends its sign-in. A few failed attempts at a name or from an address make all further
    ones 429 for a while, whether there is such a name or not."""
    wanted = (await read_form_or_json(request, TokenRequest)).root
    if isinstance(wanted, RefreshGrant):
        return await service.refresh(services, wanted.refresh_token.get_secret_value())
    return await service.sign_in(request, services, wanted)


@router.post(
    "/auth/revoke",
    status_code=200,
    summary="Sign out",
    response_class=Response,
    openapi_extra=described(RevokeRequest),
    responses={
        **documented(400, 415, 422, 503, 507),
        200: {"description": "The sign-in of the token has ended, if there was one."},
    },
)
async def revoke_tokens(request: Request, services: Provided) -> Response:
    """With the access or the refresh token: all tokens of its sign-in are refused from now on. An
    unknown token is answered alike (RFC 7009)."""
    wanted = await read_form_or_json(request, RevokeRequest)
    await service.sign_out(services, wanted.token.get_secret_value())
    return Response(status_code=200)


@router.get("/auth/me", summary="Show who calls", responses=problems())
async def show_me(services: Provided, caller: Anyone) -> Me:
    """With any key or token."""
    return await service.me(services, caller)


@router.post(
    "/auth/password",
    status_code=204,
    summary="Change one's own password",
    responses=problems(409, 422, 429),
)
async def change_password(
    body: PasswordChange, request: Request, services: Provided, caller: Anyone
) -> None:
    """Ends all other sign-ins of the caller. A wrong present password counts as an attempt to sign in."""
    await service.change_own_password(request, services, caller, body)


@router.put(
    "/principals/{principal_id}/password",
    status_code=204,
    summary="Set a person's password",
    responses=problems(404, 409, 412, 422, 429),
)
async def set_password(
    principal_id: UUID,
    body: PasswordToSet,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> None:
    """For administrators, with a key or token that has every scope the person will have. Ends what the
    person signed in to. `If-Match` is the principal's ETag."""
    await service.set_password(services, caller, if_match, principal_id, body.password)

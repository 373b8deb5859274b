"""`/v1/principals/{id}/identity`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from api.authentication import Caller, require
from api.oidc import service
from api.oidc.schemas import Identity, NewIdentity
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided

router = APIRouter(prefix="/v1/principals/{principal_id}/identity", tags=["principals"])

Manager = Annotated[Caller, Depends(require("principals:manage"))]


@router.get("", summary="Show whom the issuer means by a principal", responses=problems(404))
async def show_identity(principal_id: UUID, services: Provided, caller: Manager) -> Identity:
    """404 as well while the principal is bound to no subject."""
    async with services.database.transaction(caller.access) as session:
        return await service.show(session, principal_id)


@router.put(
    "",
    summary="Bind a principal to a subject of the issuer",
    responses=problems(404, 409, 412, 422),
)
async def bind_identity(
    principal_id: UUID,
    body: NewIdentity,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> Identity:
    """Whoever comes with a token for this subject is the principal from now on, and nobody else by
    an earlier subject. For administrators, with a key or token that has every scope the principal
    will have. `If-Match` is the principal's ETag."""
    issuer = services.people.issuer
    async with services.database.transaction(caller.access) as session:
        return await service.bind(session, caller, issuer, if_match, principal_id, body)


@router.delete(
    "",
    status_code=204,
    summary="Unbind a principal from its subject",
    responses=problems(404, 412),
)
async def unbind_identity(
    principal_id: UUID, services: Provided, caller: Manager, if_match: IfMatch = None
) -> None:
    """Its tokens are refused with the next request, unless the operator has principals made of whoever
    comes: then disable the principal instead. `If-Match` is the principal's ETag."""
    async with services.database.transaction(caller.access) as session:
        await service.unbind(session, caller, if_match, principal_id)

"""`/v1/principals/{id}/identity`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from api.authentication import Caller, require
from api.oidc import service
from api.oidc.schemas import Identity, NewIdentity
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
    "", summary="Bind a principal to a subject of the issuer", responses=problems(404, 409, 422)
)
async def bind_identity(
    principal_id: UUID, body: NewIdentity, services: Provided, caller: Manager
) -> Identity:
    """Whoever comes with a token for this subject is the principal from now on, and nobody else by
    an earlier subject. For administrators, with a key or token that has every scope the principal
    will have."""
    async with services.database.transaction(caller.access) as session:
        return await service.bind(session, caller, services.people.issuer, principal_id, body)


@router.delete(
    "",
    status_code=204,
    summary="Unbind a principal from its subject",
    responses=problems(404),
)
async def unbind_identity(principal_id: UUID, services: Provided, caller: Manager) -> None:
    """Its tokens are refused with the next request, unless the operator has principals made of whoever
    comes: then disable the principal instead."""
    async with services.database.transaction(caller.access) as session:
        await service.unbind(session, caller, principal_id)

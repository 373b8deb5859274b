"""`/v1/invitations`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.invitations import service
from api.invitations.accepting import accept
from api.invitations.schemas import (
    Acceptance,
    AcceptedInvitation,
    CreatedInvitation,
    Invitation,
    NewInvitation,
)
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.problem_responses import documented, problems
from api.services import Provided
from db.queries import invitations

router = APIRouter(prefix="/v1/invitations", tags=["principals"])

Manager = Annotated[Caller, Depends(require("principals:manage"))]


@router.get("", summary="List invitations, newest first", responses=problems(400))
async def list_invitations(
    services: Provided, caller: Manager, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Invitation]:
    """Those that are over too, for thirty days at least."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await invitations.list_invitations(
            session, limit=limit + 1, after=place.key() if place else None
        )
        shown, last = cut(rows, limit)
        data = await service.views(session, shown)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=data, next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Invite a person",
    response_model=CreatedInvitation,
    responses=problems(409, 422),
)
async def create_invitation(
    body: NewInvitation, request: Request, services: Provided, caller: Manager
) -> Response:
    """For administrators, with a key or token that has every scope the person will have. The secret is
    shown in this answer and never again; nothing is sent to anybody. Whoever shows it first becomes the
    principal."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made = await service.create(session, caller, body)
            view = made.view.model_dump(mode="json")
            location = f"/v1/invitations/{made.view.id}"
            await attempt.complete(session, Answer(201, {**view, "token": None}, location))
    return json_answer(Answer(201, {**view, "token": made.token}, location))


@router.post(
    "/accept",
    status_code=201,
    summary="Accept an invitation",
    responses=documented(401, 404, 409, 422, 429, 503, 507),
)
async def accept_invitation(
    body: Acceptance, request: Request, services: Provided
) -> AcceptedInvitation:
    """With its secret, once. Then sign in at `/v1/auth/token`, or come with the issuer's tokens. Secrets
    that open nothing count as failed attempts to sign in from the address."""
    return await accept(request, services, body)


@router.get("/{invitation_id}", summary="Show an invitation", responses=problems(404))
async def show_invitation(invitation_id: UUID, services: Provided, caller: Manager) -> Invitation:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_invitation(session, invitation_id)
        return (await service.views(session, [found]))[0]


@router.delete("/{invitation_id}", summary="Revoke an invitation", responses=problems(404, 409))
async def revoke_invitation(invitation_id: UUID, services: Provided, caller: Manager) -> Invitation:
    """At once and for good."""
    async with services.database.transaction(caller.access) as session:
        return await service.revoke(session, caller, invitation_id)

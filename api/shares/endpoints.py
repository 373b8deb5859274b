"""`/v1/shares`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
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
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided
from api.shares import service
from api.shares.schemas import CreatedShare, NewShare, Share, ShareChange
from db.models import ShareLink
from db.queries import shares
from db.queries.shares import ShareFilter

router = APIRouter(prefix="/v1/shares", tags=["shares"])

Sharer = Annotated[Caller, Depends(require("shares:manage"))]


@router.get("", summary="List share links, newest first", responses=problems(400))
async def list_shares(
    services: Provided,
    caller: Sharer,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    file_id: Annotated[UUID | None, Query(description="Links to this file.")] = None,
) -> Page[Share]:
    """The caller's own; for an administrator all of the tenant's. Revoked and expired ones too."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await shares.list_shares(
            session,
            ShareFilter(service.whose(caller), file_id),
            limit=limit + 1,
            after=place.key() if place else None,
        )
    shown, last = cut(rows, limit)
    following = None
    if last is not None:
        following = encode_cursor(TimeCursor(at=last.created_at, id=last.id))
    return Page(data=[service.share_view(each) for each in shown], next_cursor=following)


@router.post(
    "",
    status_code=201,
    summary="Share a file by a link",
    response_model=CreatedShare,
    responses=problems(404, 409, 410, 422, 429),
)
async def create_share(
    body: NewShare, request: Request, services: Provided, caller: Sharer
) -> Response:
    """Needs `files:read` too. The link is shown in this answer and never again. Whoever has it downloads
    the file for as long as the caller may read it, the link lives, and its conditions are met."""
    policy = services.sharing
    service.require_sharing(policy)
    service.require_reading(caller)
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(_request_hash(body)):
            return replayed
        async with services.database.transaction(caller.access) as session:
            # Before the password costs anything; and again, locked, when the link is made.
            await service.require_may_be_shared(session, policy, body)
        password_hash = await service.hashed(policy, body.password)
        async with services.database.transaction(caller.access) as session:
            made, token = await service.create(session, caller, policy, body, password_hash)
            view = service.share_view(made).model_dump(mode="json")
            location = f"/v1/shares/{made.id}"
            await attempt.complete(session, Answer(201, {**view, "url": None}, location))
    url = service.link(request, policy, token)
    return json_answer(Answer(201, {**view, "url": url}, location))


@router.get(
    "/{share_id}", summary="Show a share link", response_model=Share, responses=problems(404)
)
async def show_share(share_id: UUID, services: Provided, caller: Sharer) -> Response:
    """The ETag is for `If-Match` on PATCH."""
    async with services.database.transaction(caller.access) as session:
        found = await service.require_share(session, caller, share_id)
    return _tagged(found)


@router.patch(
    "/{share_id}",
    summary="Change a share link's end, password, networks or downloads",
    response_model=Share,
    responses=problems(404, 409, 412, 422, 429),
)
async def change_share(
    share_id: UUID,
    body: ShareChange,
    services: Provided,
    caller: Sharer,
    if_match: IfMatch = None,
) -> Response:
    """From the next request of a visitor on."""
    policy = services.sharing
    async with services.database.transaction(caller.access) as session:
        await service.require_share(session, caller, share_id)
    password_hash = await service.hashed(policy, body.password)
    async with services.database.transaction(caller.access) as session:
        changed = await service.change(
            session, caller, policy, if_match, share_id, body, password_hash
        )
    return _tagged(changed)


@router.delete(
    "/{share_id}", summary="Revoke a share link", response_model=Share, responses=problems(404)
)
async def revoke_share(share_id: UUID, services: Provided, caller: Sharer) -> Share:
    """At once and for good: downloads that are under way break off within seconds. Revoking a revoked
    link changes nothing."""
    async with services.database.transaction(caller.access) as session:
        return service.share_view(await service.revoke(session, caller, share_id))


def _request_hash(body: NewShare) -> bytes:
    """Of the password only whether there is one: of what is kept, nothing can be tried quickly."""
    locked = "open" if body.password is None else "locked"
    return hash_of(body.model_dump_json(exclude={"password"}), locked)


def _tagged(found: ShareLink) -> Response:
    view = service.share_view(found).model_dump(mode="json")
    return JSONResponse(view, headers={"ETag": service.entity_tag(found)})

"""`/v1/finding-policies`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.finding_policies import service
from api.finding_policies.schemas import FindingPolicy, NewFindingPolicy, policy_view
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    IdCursor,
    Limit,
    Page,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.problem_responses import problems
from api.services import Provided
from db.queries import finding_policies

router = APIRouter(prefix="/v1/finding-policies", tags=["findings"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]


@router.post(
    "",
    status_code=201,
    summary="Say what is to become of findings",
    response_model=FindingPolicy,
    responses=problems(404, 409, 422),
)
async def create_policy(
    body: NewFindingPolicy, request: Request, services: Provided, caller: Writer
) -> Response:
    """For a collection: needs the level `manage`. For the whole tenant: for administrators. It holds for
    what is read from now on; `POST /v1/files/{id}/reprocess` has what is published judged by it."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made = policy_view(
                await service.add_policy(session, caller, body, may_mask=services.may_mask)
            )
            answer = Answer(201, made.model_dump(mode="json"), f"{router.prefix}/{made.id}")
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get("", summary="List finding policies, newest first", responses=problems(400))
async def list_policies(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    collection: Annotated[UUID | None, Query(description="Those of this collection.")] = None,
) -> Page[FindingPolicy]:
    """The tenant's, and those of collections that the caller may read."""
    place = decode_cursor(IdCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await finding_policies.list_policies(
            session,
            limit=limit + 1,
            after=place.id if place else None,
            collection_id=collection,
        )
    shown, last = cut(rows, limit)
    following = None if last is None else encode_cursor(IdCursor(id=last.id))
    return Page(data=[policy_view(row) for row in shown], next_cursor=following)


@router.get("/{finding_policy_id}", summary="Show a finding policy", responses=problems(404))
async def show_policy(finding_policy_id: UUID, services: Provided, caller: Reader) -> FindingPolicy:
    async with services.database.transaction(caller.access) as session:
        return policy_view(await service.require_policy(session, finding_policy_id))


@router.delete(
    "/{finding_policy_id}",
    status_code=204,
    summary="Delete a finding policy",
    responses=problems(404),
)
async def delete_policy(finding_policy_id: UUID, services: Provided, caller: Writer) -> None:
    """Needs what making it needs. What was masked or refused by it stays so until it is reprocessed."""
    async with services.database.transaction(caller.access) as session:
        await service.drop_policy(session, caller, finding_policy_id)

"""`/v1/retention-policies` and `/v1/files/{id}/retention`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query, Request
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
from api.retention import service
from api.retention.schemas import (
    ChangedPolicy,
    EndedPolicy,
    FileRetention,
    NewPolicy,
    Policy,
    Time,
    WantedLock,
)
from api.retention.service import BYPASS_HEADER, Bypass
from api.services import Provided
from db.models import RetentionPolicy
from db.queries import retention

POLICIES = "/v1/retention-policies"

router = APIRouter(tags=["governance"])

Keeper = Annotated[Caller, Depends(require("retention:manage"))]
Reader = Annotated[Caller, Depends(require("files:read"))]
BypassWanted = Annotated[
    bool,
    Header(
        alias=BYPASS_HEADER,
        description="To shorten a governance lock: with the scope `retention:bypass` and a `reason`.",
    ),
]


@router.post(
    POLICIES,
    status_code=201,
    summary="Make a retention policy",
    response_model=Policy,
    responses=problems(409, 422),
)
async def make_policy(
    body: NewPolicy, request: Request, services: Provided, caller: Keeper
) -> Response:
    """It reaches files of the whole tenant that fit it, those that are there and those that come."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            made = await service.add_policy(session, caller, body)
            answer = Answer(201, made.model_dump(mode="json"), f"{POLICIES}/{made.id}")
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get(POLICIES, summary="List retention policies, newest first", responses=problems(400))
async def list_policies(
    services: Provided, caller: Keeper, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Policy]:
    """Those that have ended among them."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await retention.list_policies(
            session, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[Policy.of(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get(
    f"{POLICIES}/{{policy_id}}",
    summary="Show a retention policy",
    response_model=Policy,
    responses=problems(404),
)
async def show_policy(policy_id: UUID, services: Provided, caller: Keeper) -> Response:
    async with services.database.transaction(caller.access) as session:
        return _answer(await service.require_policy(session, policy_id))


@router.put(
    f"{POLICIES}/{{policy_id}}",
    summary="Change a retention policy",
    response_model=Policy,
    responses=problems(404, 409, 412, 422),
)
async def change_policy(
    policy_id: UUID,
    body: ChangedPolicy,
    services: Provided,
    caller: Keeper,
    if_match: IfMatch = None,
    bypass_governance: BypassWanted = False,
) -> Response:
    """With compliance locks it is made longer, named and disposed of otherwise, and nothing else; with
    governance locks all else needs a bypass."""
    bypass = Bypass(bypass_governance, body.reason)
    async with services.database.transaction(caller.access) as session:
        changed = await service.change_policy(session, caller, if_match, policy_id, body, bypass)
        return _answer(changed)


@router.post(
    f"{POLICIES}/{{policy_id}}/end",
    summary="End a retention policy",
    response_model=Policy,
    responses=problems(404, 409, 422),
)
async def end_policy(
    policy_id: UUID,
    services: Provided,
    caller: Keeper,
    body: EndedPolicy | None = None,
    bypass_governance: BypassWanted = False,
) -> Response:
    """It keeps nothing from now on; with compliance locks it has no end."""
    bypass = Bypass(bypass_governance, body.reason if body else None)
    async with services.database.transaction(caller.access) as session:
        return _answer(await service.end_policy(session, caller, policy_id, bypass))


@router.get(
    "/v1/files/{file_id}/retention",
    summary="Show what keeps a file, and until when",
    responses=problems(404),
)
async def show_retention(
    file_id: UUID,
    services: Provided,
    caller: Reader,
    as_of: Annotated[
        Time | None, Query(description="The time that is asked for; now, where it is absent.")
    ] = None,
) -> FileRetention:
    async with services.database.transaction(caller.access) as session:
        return await service.show(session, file_id, as_of)


@router.put(
    "/v1/files/{file_id}/retention",
    summary="Lock a file until a time",
    responses=problems(404, 409, 410, 422),
)
async def set_lock(
    file_id: UUID,
    body: WantedLock,
    services: Provided,
    caller: Keeper,
    bypass_governance: BypassWanted = False,
) -> FileRetention:
    """Until then nobody deletes it, nor adds a version. A compliance lock is only ever made longer."""
    bypass = Bypass(bypass_governance, body.reason)
    async with services.database.transaction(caller.access) as session:
        await service.set_lock(session, caller, file_id, body, bypass)
        return await service.show(session, file_id, None)


def _answer(policy: RetentionPolicy) -> Response:
    body = Policy.of(policy).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(policy)})

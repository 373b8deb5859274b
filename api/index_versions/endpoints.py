"""`/v1/index-versions`."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.index_versions import service
from api.index_versions.schemas import IndexVersion, NewIndexVersion
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
from api.problem_responses import problems
from api.services import Provided, Services
from db.models import IndexVersion as IndexVersionRow
from db.queries import index_versions

router = APIRouter(prefix="/v1/index-versions", tags=["search"])

Manager = Annotated[Caller, Depends(require("tenants:manage"))]
Change = Callable[[AsyncSession, Caller, UUID], Awaitable[IndexVersionRow]]


@router.get("", summary="List index versions, newest first", responses=problems(400))
async def list_index_versions(
    services: Provided, caller: Manager, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[IndexVersion]:
    """The tenant's; none before anything was published."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await index_versions.list_indexes(
            session, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[IndexVersion.of(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.post(
    "",
    status_code=202,
    summary="Build an index version beside the active one",
    response_model=IndexVersion,
    responses=problems(409, 422, 503),
)
async def create_index_version(
    body: NewIndexVersion, request: Request, services: Provided, caller: Manager
) -> Response:
    """For administrators. From the passages that are there, without their files; what is published meanwhile
    enters both, and searches go on in the active one. One of the same model that is being built
    answers with itself. 503 while a long document is being published."""
    service.require_administrator(caller)
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            row = await service.create(session, caller, body)
            view = IndexVersion.of(row).model_dump(mode="json")
            answer = Answer(202, view, f"/v1/index-versions/{row.id}")
            await attempt.complete(session, answer)
    await service.wake(services, caller, row.id)
    return json_answer(answer)


@router.get(
    "/{index_version_id}",
    summary="Show an index version, and how far its building has come",
    responses=problems(404),
)
async def show_index_version(
    services: Provided, caller: Manager, index_version_id: UUID
) -> IndexVersion:
    async with services.database.transaction(caller.access) as session:
        return IndexVersion.of(await service.show(session, index_version_id))


@router.post(
    "/{index_version_id}/activate",
    summary="Search this index version from now on",
    responses=problems(404, 409, 503),
)
async def activate_index_version(
    services: Provided, caller: Manager, index_version_id: UUID
) -> IndexVersion:
    """For administrators: one that is ready, or superseded and still kept. All at once: each search uses one
    index version from its beginning to its end."""
    kept_for = services.former_index_kept
    return await _change(services, caller, partial(service.activate, kept_for), index_version_id)


@router.post(
    "/{index_version_id}/rollback",
    summary="Go back from this index version to the one before",
    responses=problems(404, 409, 503),
)
async def roll_back_index_version(
    services: Provided, caller: Manager, index_version_id: UUID
) -> IndexVersion:
    """For administrators: from the active one, at once, while the one before is kept; that one is
    answered."""
    kept_for = services.former_index_kept
    return await _change(services, caller, partial(service.roll_back, kept_for), index_version_id)


@router.post(
    "/{index_version_id}/cancel",
    summary="Give up an index version that is not active",
    responses=problems(404, 409, 503),
)
async def cancel_index_version(
    services: Provided, caller: Manager, index_version_id: UUID
) -> IndexVersion:
    """For administrators: one that is being built, or is ready. Its vectors are deleted."""
    view = await _change(services, caller, service.cancel, index_version_id)
    await service.wake(services, caller, index_version_id)
    return view


@router.post(
    "/{index_version_id}/pause",
    summary="Pause the building of an index version",
    responses=problems(404, 409),
)
async def pause_index_version(
    services: Provided, caller: Manager, index_version_id: UUID
) -> IndexVersion:
    """For administrators. The batch that is at work, a second or two, is its last; what is published goes on
    entering it."""
    return await _change(services, caller, service.pause, index_version_id)


@router.post(
    "/{index_version_id}/resume",
    summary="Let the building of an index version go on",
    responses=problems(404, 409),
)
async def resume_index_version(
    services: Provided, caller: Manager, index_version_id: UUID
) -> IndexVersion:
    """For administrators."""
    view = await _change(services, caller, service.resume, index_version_id)
    await service.wake(services, caller, index_version_id)
    return view


async def _change(
    services: Services, caller: Caller, change: Change, index_version_id: UUID
) -> IndexVersion:
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        return IndexVersion.of(await change(session, caller, index_version_id))

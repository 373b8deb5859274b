"""`/v1/findings`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query

from api.authentication import Caller, require
from api.findings import service
from api.findings.schemas import MAX_ENTITY, FindingValue, FindingView, finding_view
from api.pagination import DEFAULT_LIMIT, Cursor, IdCursor, Limit, Page, decode_cursor
from api.problem_responses import problems
from api.services import Provided
from api.storable_text import StorableText
from db.queries.findings import FindingFilter
from muniment.contracts.documents import FindingKind
from muniment.contracts.findings import FindingAct

router = APIRouter(prefix="/v1/findings", tags=["findings"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Revealer = Annotated[Caller, Depends(require("findings:reveal"))]
Name = Annotated[StorableText | None, Query(min_length=1, max_length=MAX_ENTITY)]


@router.get("", summary="List findings, newest first", responses=problems(400, 404))
async def list_findings(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    file: Annotated[UUID | None, Query(description="Findings in this file.")] = None,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
    kind: FindingKind | None = None,
    entity: Name = None,
    act: FindingAct | None = None,
    token: Name = None,
) -> Page[FindingView]:
    """In the files that the caller may read: places, never values. `token` finds every place that a
    token stands for."""
    place = decode_cursor(IdCursor, cursor)
    wanted = FindingFilter(file, version, kind, entity, act, token)
    async with services.database.transaction(caller.access) as session:
        return await service.list_findings(session, wanted, limit, place)


@router.get("/{finding_id}", summary="Show a finding", responses=problems(404))
async def show_finding(finding_id: UUID, services: Provided, caller: Reader) -> FindingView:
    async with services.database.transaction(caller.access) as session:
        return finding_view(await service.require_finding(session, finding_id))


@router.get(
    "/{finding_id}/value",
    summary="Show what stands at a finding's place",
    responses=problems(404, 409, 410),
)
async def show_value(finding_id: UUID, services: Provided, caller: Revealer) -> FindingValue:
    """Of files that the caller may read. Who looked is audited."""
    return FindingValue(value=await service.value_of(services, caller, finding_id))

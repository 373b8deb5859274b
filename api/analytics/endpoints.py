"""`/v1/analytics`."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime
from starlette.responses import JSONResponse, Response

from api.analytics import service
from api.analytics.schemas import AnalyticsPolicy, QueryAnalytics, WantedAnalyticsPolicy
from api.authentication import Caller, require
from api.preconditions import IfMatch, tagged
from api.problem_responses import problems
from api.services import Provided
from db.audit import record
from db.models import AnalyticsPolicy as Row
from db.queries import analytics
from db.queries.analytics import QueryPolicy

router = APIRouter(prefix="/v1/analytics", tags=["analytics"])

Auditor = Annotated[Caller, Depends(require("audit:read"))]
Manager = Annotated[Caller, Depends(require("tenants:manage"))]
Key = Annotated[
    str | None,
    Query(pattern=r"^[0-9a-f]{32}$", description="Only the queries with this `key`."),
]


@router.get("/queries", summary="Show what is asked", responses=problems(400, 429, 503))
async def show_queries(
    services: Provided,
    caller: Auditor,
    since: Annotated[
        AwareDatetime | None, Query(alias="from", description="Else seven days before `to`.")
    ] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to", description="Else now.")] = None,
    limit: Annotated[int, Query(ge=1, le=100, description="Queries of each list.")] = 20,
) -> QueryAnalytics:
    """For administrators: how much was asked, how fast, what most often, and what found nothing. Written
    some seconds after it was asked; what a killed process had not written is missing."""
    service.require_administrator(caller)
    period = service.period_of(since, until)
    with services.analytics.take():
        async with services.database.transaction(caller.access) as session:
            found = await service.summary(session, period, limit)
            record(session, caller.act("analytics.read", "tenant", caller.tenant_id))
    return found


@router.delete(
    "/queries", status_code=204, summary="Forget what was asked", responses=problems(400)
)
async def forget_queries(services: Provided, caller: Manager, key: Key = None) -> None:
    """For administrators. All of it, or one query. What was asked in the last seconds may still be
    written."""
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        # Without the key: by it could be told for ever what was asked.
        payload = {"is_one_query": key is not None}
        record(
            session,
            caller.act("analytics.forgotten", "tenant", caller.tenant_id, {**payload}),
        )
    which = None if key is None else bytes.fromhex(key)
    await service.forget(services.database, caller.access, partial(analytics.forget, key=which))


@router.get(
    "/policy",
    summary="Show what is kept of queries",
    response_model=AnalyticsPolicy,
    responses=problems(),
)
async def show_policy(services: Provided, caller: Auditor) -> Response:
    async with services.database.transaction(caller.access) as session:
        policy = await session.get(Row, caller.tenant_id)
    return _answer(policy, services.queries.default)


@router.put(
    "/policy",
    summary="Set what is kept of queries, and for how long",
    response_model=AnalyticsPolicy,
    responses=problems(409, 412, 422),
)
async def set_policy(
    body: WantedAnalyticsPolicy, services: Provided, caller: Manager, if_match: IfMatch = None
) -> Response:
    """For administrators. What is not to be kept any longer is deleted before the answer; where that is
    interrupted, the rest within an hour."""
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        policy = await service.set_policy(session, caller, if_match, body)
    unwanted = partial(
        service.forget_unwanted, tenant_id=caller.tenant_id, default=services.queries.default
    )
    await service.forget(services.database, caller.access, unwanted)
    return _answer(policy, services.queries.default)


def _answer(policy: Row | None, default: QueryPolicy) -> Response:
    view = service.policy_view(policy, default).model_dump(mode="json")
    return tagged(JSONResponse(view), service.entity_tag(policy))

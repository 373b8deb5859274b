"""`/v1/tier-policy` and `/v1/collections/{id}/tier-policy`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.collections.service import require_collection
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided
from api.tier_policies import service
from api.tier_policies.schemas import WantedTierPolicy
from api.tiers.schemas import TierRule
from api.tiers.service import rule_view
from db.models import TierPolicy
from db.queries import tier_policies
from db.queries.tier_policies import TierRule as Rule

router = APIRouter(tags=["collections"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]


@router.get(
    "/v1/tier-policy",
    summary="Show when the tenant's content goes to the cold tier",
    response_model=TierRule,
    responses=problems(),
)
async def show_tenant_policy(services: Provided, caller: Reader) -> Response:
    """Of collections that have no policy of their own. Of the installation's rule this is what holds
    where it names no collections."""
    async with services.database.transaction(caller.access) as session:
        rule, policy = await service.tenant_rule(session, services.cold_policy)
    return _answer(rule, policy)


@router.put(
    "/v1/tier-policy",
    summary="Set when the tenant's content goes to the cold tier",
    response_model=TierRule,
    responses=problems(409, 412, 422),
)
async def set_tenant_policy(
    body: WantedTierPolicy,
    services: Provided,
    caller: Writer,
    if_match: IfMatch = None,
) -> Response:
    """For administrators. Collections with a policy of their own keep it."""
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        await service.set_policy(session, caller, if_match, None, body)
        rule, policy = await service.tenant_rule(session, services.cold_policy)
    return _answer(rule, policy)


@router.delete(
    "/v1/tier-policy",
    status_code=204,
    summary="Leave the tenant's content to the installation's rule",
    responses=problems(404),
)
async def drop_tenant_policy(services: Provided, caller: Writer) -> None:
    """For administrators."""
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        await service.drop_policy(session, caller, None)


@router.get(
    "/v1/collections/{collection_id}/tier-policy",
    summary="Show when a collection's content goes to the cold tier",
    response_model=TierRule,
    responses=problems(404),
)
async def show_policy(collection_id: UUID, services: Provided, caller: Reader) -> Response:
    """`source` says whose rule it is."""
    async with services.database.transaction(caller.access) as session:
        await require_collection(session, collection_id)
        policy = await tier_policies.get_policy(session, collection_id)
        rule = await tier_policies.rule_of_collection(session, collection_id, services.cold_policy)
    return _answer(rule, policy)


@router.put(
    "/v1/collections/{collection_id}/tier-policy",
    summary="Set when a collection's content goes to the cold tier",
    response_model=TierRule,
    responses=problems(404, 409, 412, 422),
)
async def set_policy(
    collection_id: UUID,
    body: WantedTierPolicy,
    services: Provided,
    caller: Writer,
    if_match: IfMatch = None,
) -> Response:
    """Needs the level `manage`. Content that files of other collections have too goes there when the rules
    of all of them say so. What lies in the cold tier already stays until somebody brings it back."""
    async with services.database.transaction(caller.access) as session:
        await require_collection(session, collection_id, "manage", for_update=True)
        policy = await service.set_policy(session, caller, if_match, collection_id, body)
        rule = await tier_policies.rule_of_collection(session, collection_id, services.cold_policy)
    return _answer(rule, policy)


@router.delete(
    "/v1/collections/{collection_id}/tier-policy",
    status_code=204,
    summary="Leave a collection's content to the tenant's rule",
    responses=problems(404),
)
async def drop_policy(collection_id: UUID, services: Provided, caller: Writer) -> None:
    """Needs the level `manage`."""
    async with services.database.transaction(caller.access) as session:
        await require_collection(session, collection_id, "manage", for_update=True)
        await service.drop_policy(session, caller, collection_id)


def _answer(rule: Rule, policy: TierPolicy | None) -> Response:
    body = rule_view(rule).model_dump(mode="json")
    return JSONResponse(body, headers={"ETag": service.entity_tag(policy)})

"""`/v1/alike-questions`."""

from typing import Annotated

from fastapi import APIRouter, Depends
from starlette.responses import JSONResponse, Response

from api.alike_questions import service
from api.alike_questions.schemas import AlikeQuestionPolicy, WantedAlikeQuestionPolicy
from api.authentication import Caller, require
from api.preconditions import IfMatch, tagged
from api.problem_responses import problems
from api.services import Provided
from db.models import AlikeQuestionPolicy as Row

router = APIRouter(prefix="/v1/alike-questions", tags=["search"])

Manager = Annotated[Caller, Depends(require("tenants:manage"))]


@router.get(
    "/policy",
    summary="Show which questions are answered alike",
    response_model=AlikeQuestionPolicy,
    responses=problems(),
)
async def show_policy(services: Provided, caller: Manager) -> Response:
    """For administrators."""
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        policy = await session.get(Row, caller.tenant_id)
    return _answer(policy)


@router.put(
    "/policy",
    summary="Set which questions are answered alike",
    response_model=AlikeQuestionPolicy,
    responses=problems(412, 422),
)
async def set_policy(
    body: WantedAlikeQuestionPolicy, services: Provided, caller: Manager, if_match: IfMatch = None
) -> Response:
    """For administrators. Off unless it is set: a question that only looks the same is then told the answer
    of another. All words but polite ones and the like have to be equal beside the likeness."""
    service.require_administrator(caller)
    async with services.database.transaction(caller.access) as session:
        policy = await service.set_policy(session, caller, if_match, body.least_likeness)
    return _answer(policy)


def _answer(policy: Row | None) -> Response:
    view = service.policy_view(policy).model_dump(mode="json")
    return tagged(JSONResponse(view), service.entity_tag(policy))

"""`/v1/evaluations`."""

import asyncio
import json
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import HTMLResponse, Response

from api.authentication import Caller, require
from api.evaluations import service
from api.evaluations.report import report_of
from api.evaluations.schemas import Evaluation, NewEvaluation
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
from api.problem_responses import problems
from api.services import Provided, Services
from db.audit import record
from db.queries import evaluations
from muniment.contracts.evaluate_retrieval import EvaluateRetrievalInput, workflow_id
from muniment.errors import Conflict, OrchestratorUnavailable
from workflows.starting import cancel_workflow, start_evaluation

router = APIRouter(prefix="/v1/evaluations", tags=["evaluations"])

Searching = Annotated[Caller, Depends(require("search"))]
Working = Annotated[Caller, Depends(require("jobs:write"))]


@router.post(
    "",
    status_code=202,
    summary="Measure how good searches and answers are",
    response_model=Evaluation,
    responses=problems(409, 422, 503),
)
async def start(
    body: NewEvaluation, request: Request, services: Provided, caller: Working
) -> Response:
    """Asks the questions of the set, under the caller's rights, and compares what is found with what the set
    says. One of the same set that is at work answers with itself. Questions are kept until the evaluation
    is deleted."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            await _start_again(services, caller, replayed)
            return replayed
        async with services.database.transaction(caller.access) as session:
            run, asked = await service.make(session, caller, body)
            (view,) = await service.views(session, [(run, asked)])
            location = f"/v1/evaluations/{view.id}"
            answer = Answer(202, view.model_dump(mode="json"), location)
            await attempt.complete(session, answer)
            name = run.workflow_id
    if name == workflow_id(view.id):
        # Also for a run that was there: whoever made it may have died before starting it.
        await _start(services, name, caller.tenant_id, view.id)
    return json_answer(answer)


async def _start_again(services: Services, caller: Caller, replayed: Response) -> None:
    """What the first answer told of, where Temporal was away then and it is still to do."""
    run_id = UUID(json.loads(bytes(replayed.body))["id"])
    async with services.database.transaction(caller.access) as session:
        is_to_start = await service.is_to_start(session, run_id)
    if is_to_start:
        await _start(services, workflow_id(run_id), caller.tenant_id, run_id)


async def _start(services: Services, name: str, tenant_id: UUID, run_id: UUID) -> None:
    temporal = services.temporal
    wanted = EvaluateRetrievalInput(tenant_id=tenant_id, run_ids=(run_id,))
    try:
        async with asyncio.timeout(temporal.start_timeout_seconds):
            await start_evaluation(temporal.client, name, wanted)
    except (TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        raise OrchestratorUnavailable("Temporal did not start the evaluation.") from error


@router.get("", summary="List evaluations", responses=problems(400))
async def list_evaluations(
    services: Provided, caller: Searching, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Evaluation]:
    """The caller's own, newest first; for an administrator with `audit:read` all of the tenant's."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await evaluations.list_runs(
            session,
            service.whose(caller),
            limit=limit + 1,
            after=place.key() if place else None,
        )
        shown, last = cut(rows, limit)
        data = await service.views(session, shown)
    following = TimeCursor(at=last[0].created_at, id=last[0].id) if last else None
    return Page(data=data, next_cursor=encode_cursor(following) if following else None)


@router.get(
    "/{evaluation_id}",
    summary="Show an evaluation, and how it compares with the one before",
    responses=problems(404),
)
async def show_evaluation(services: Provided, caller: Searching, evaluation_id: UUID) -> Evaluation:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_run(session, caller, evaluation_id)
        (view,) = await service.views(session, [found])
    return view


@router.get(
    "/{evaluation_id}/report",
    summary="Show an evaluation as a page with plots",
    response_class=HTMLResponse,
    responses=problems(404, 409),
)
async def show_report(services: Provided, caller: Searching, evaluation_id: UUID) -> Response:
    """One file that needs nothing from elsewhere, with the questions that fared worst. 409 until it has
    ended."""
    async with services.database.transaction(caller.access) as session:
        run, asked = await service.require_run(session, caller, evaluation_id)
        if run.finished_at is None:
            raise Conflict(
                "the evaluation is at work", remedy="Ask again once its `finished_at` is set."
            )
        (view,) = await service.views(session, [(run, asked)])
        measured = await evaluations.measured_questions(session, run)
        record(session, caller.act("evaluation.read", "evaluation", run.id))
    return report_of(view, measured)


@router.post(
    "/{evaluation_id}/cancel",
    status_code=202,
    summary="Cancel an evaluation",
    responses=problems(404, 409, 503),
)
async def cancel(services: Provided, caller: Working, evaluation_id: UUID) -> Evaluation:
    """What was measured by then is summed up."""
    async with services.database.transaction(caller.access) as session:
        run, asked = await service.require_run(session, caller, evaluation_id)
        if run.finished_at is not None:
            raise Conflict("the evaluation has ended")
        (view,) = await service.views(session, [(run, asked)])
        record(session, caller.act("evaluation.cancelled", "evaluation", run.id))
        # One that was begun by night goes on with sets of others, and leaves out what has ended.
        has_own_workflow = run.workflow_id == workflow_id(run.id)
    if not has_own_workflow or not await _cancel(services, view.id):
        async with services.database.transaction(caller.access) as session:
            view = await service.end_as_cancelled(session, caller, view.id)
    return view


async def _cancel(services: Services, run_id: UUID) -> bool:
    """False where no workflow is at work on it."""
    temporal = services.temporal
    try:
        async with asyncio.timeout(temporal.start_timeout_seconds):
            return await cancel_workflow(temporal.client, workflow_id(run_id))
    except (TimeoutError, RuntimeError) as error:
        raise OrchestratorUnavailable("Temporal did not cancel the evaluation.") from error


@router.delete(
    "/{evaluation_id}",
    status_code=204,
    summary="Delete an evaluation's set with its questions and all of its runs",
    responses=problems(404, 409),
)
async def delete_evaluation(services: Provided, caller: Working, evaluation_id: UUID) -> None:
    """For good; it is no longer evaluated by night either. 409 while one of its runs is at work."""
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, evaluation_id)

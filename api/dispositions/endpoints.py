"""`/v1/retention-sweeps` and `/v1/dispositions`."""

import asyncio
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.dispositions import service
from api.dispositions.schemas import (
    Disposition,
    NewDecision,
    NewReview,
    NewSweep,
    Sweep,
    SweepWithDecisions,
    with_decisions,
)
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.jobs.starting import start_job
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
from db.models import RetentionSweep
from db.queries import dispositions, retention_sweeps
from db.session import Access
from muniment.contracts.retention_sweep import (
    DispositionState,
    RetentionSweepInput,
    SweepState,
)
from muniment.errors import NotFound, OrchestratorUnavailable
from workflows.starting import start_retention_sweep

SWEEPS = "/v1/retention-sweeps"
DISPOSITIONS = "/v1/dispositions"

router = APIRouter(tags=["governance"])

Keeper = Annotated[Caller, Depends(require("retention:manage"))]
SweepStates = Annotated[list[SweepState] | None, Query(description="In these states.")]
DispositionStates = Annotated[list[DispositionState] | None, Query(description="In these states.")]


@router.post(
    SWEEPS,
    status_code=202,
    summary="Look now at what retention has ended for",
    response_model=Sweep,
    responses=problems(409, 422, 503),
)
async def start_sweep(
    body: NewSweep, request: Request, services: Provided, caller: Keeper
) -> Response:
    """Files are judged first. Where more are to be deleted and relabelled than a sweep may by itself, it
    waits for a decision; else each becomes what its policies say."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            sweep = await service.add_sweep(session, caller, body)
            view = Sweep.of(sweep)
            answer = Answer(202, view.model_dump(mode="json"), f"{SWEEPS}/{view.id}")
            await attempt.complete(session, answer)
    await _start(services, sweep)
    return json_answer(answer)


@router.get(SWEEPS, summary="List retention sweeps, newest first", responses=problems(400))
async def list_sweeps(
    services: Provided,
    caller: Keeper,
    state: SweepStates = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Sweep]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await retention_sweeps.list_sweeps(
            session, state or (), limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[Sweep.of(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get(
    f"{SWEEPS}/{{retention_sweep_id}}", summary="Show a retention sweep", responses=problems(404)
)
async def show_sweep(
    retention_sweep_id: UUID, services: Provided, caller: Keeper
) -> SweepWithDecisions:
    async with services.database.transaction(caller.access) as session:
        sweep = await retention_sweeps.get_sweep(session, retention_sweep_id)
        if sweep is None:
            raise NotFound("there is no such retention sweep")
        known = await retention_sweeps.decisions_about(session, sweep_id=sweep.id)
    return with_decisions(sweep, known)


@router.post(
    f"{SWEEPS}/{{retention_sweep_id}}/decisions",
    summary="Decide about a retention sweep that waits",
    responses=problems(404, 409, 422, 503),
)
async def decide_sweep(
    retention_sweep_id: UUID, body: NewDecision, services: Provided, caller: Keeper
) -> SweepWithDecisions:
    """Approved, it disposes of what it found; rejected, it ends. Who asked for it does not approve it."""
    async with services.database.transaction(caller.access) as session:
        sweep = await service.decide_sweep(session, caller, retention_sweep_id, body)
        known = await retention_sweeps.decisions_about(session, sweep_id=sweep.id)
        view = with_decisions(sweep, known)
    await _start(services, sweep)
    return view


@router.get(DISPOSITIONS, summary="List dispositions, newest first", responses=problems(400))
async def list_dispositions(
    services: Provided,
    caller: Keeper,
    state: DispositionStates = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[Disposition]:
    """Files whose policies want people to say whether they are deleted; decisions are told of each alone."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await dispositions.list_dispositions(
            session, state or (), limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[Disposition.of(row, ()) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get(
    f"{DISPOSITIONS}/{{disposition_id}}", summary="Show a disposition", responses=problems(404)
)
async def show_disposition(disposition_id: UUID, services: Provided, caller: Keeper) -> Disposition:
    async with services.database.transaction(caller.access) as session:
        row = await dispositions.get_disposition(session, disposition_id)
        if row is None:
            raise NotFound("there is no such disposition")
        known = await retention_sweeps.decisions_about(session, disposition_id=row.id)
    return Disposition.of(row, known)


@router.post(
    f"{DISPOSITIONS}/{{disposition_id}}/decisions",
    summary="Decide about a file whose retention has ended",
    responses=problems(404, 409, 422),
)
async def decide_disposition(
    disposition_id: UUID, body: NewReview, services: Provided, caller: Keeper
) -> Disposition:
    """The first approval asks for its deletion; the second, by somebody else, has it erased with all that
    came out of it. One rejection keeps it."""
    # Whatever of it they may read themselves: retention is for all of the tenant's files.
    async with services.database.transaction(Access(caller.tenant_id)) as session:
        row, job = await service.decide_disposition(session, caller, disposition_id, body)
        known = await retention_sweeps.decisions_about(session, disposition_id=row.id)
        view = Disposition.of(row, known)
    if job is not None:
        await start_job(services, job)
    return view


async def _start(services: Services, sweep: RetentionSweep) -> None:
    """Starts the sweep's workflow, or has it look. One whose start was lost goes on by the next schedule."""
    temporal = services.temporal
    try:
        async with asyncio.timeout(temporal.start_timeout_seconds):
            request = RetentionSweepInput(tenant_id=sweep.tenant_id)
            await start_retention_sweep(temporal.client, sweep.workflow_id, request)
    except (TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        raise OrchestratorUnavailable("Temporal did not start the sweep.") from error

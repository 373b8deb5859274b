"""`/v1/integrity`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends

from api.authentication import Caller, require
from api.integrity.schemas import IntegrityFault, IntegrityReport, IntegrityRun
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
from api.services import Provided
from db.audit import record
from db.models import new_id
from db.queries import integrity
from muniment.contracts.verify_integrity import VerifyIntegrityInput, workflow_id
from muniment.errors import OrchestratorUnavailable
from workflows.starting import start_verification

router = APIRouter(prefix="/v1/integrity", tags=["integrity"])

Auditor = Annotated[Caller, Depends(require("audit:read"))]
Operator = Annotated[Caller, Depends(require("jobs:write"))]
SHOWN_FAULTS = 100


@router.get(
    "",
    summary="List verifications of stored content, and what is wrong now",
    responses=problems(400),
)
async def show_integrity(
    services: Provided, caller: Auditor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> IntegrityReport:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await integrity.list_runs(
            session, limit=limit + 1, after=place.key() if place else None
        )
        count = await integrity.count_open_faults(session)
        faults = await integrity.list_open_faults(session, limit=SHOWN_FAULTS)
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last["created_at"], id=last["id"]) if last else None
    return IntegrityReport(
        data=[IntegrityRun.model_validate(dict(row)) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
        open_faults=count,
        faults=[IntegrityFault.model_validate(dict(row)) for row in faults],
    )


@router.get(
    "/faults", summary="List what is wrong with stored content now", responses=problems(400)
)
async def list_integrity_faults(
    services: Provided, caller: Auditor, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[IntegrityFault]:
    """First found first."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await integrity.list_open_faults(
            session, limit=limit + 1, after=place.key() if place else None
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last["first_seen_at"], id=last["id"]) if last else None
    return Page(
        data=[IntegrityFault.model_validate(dict(row)) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.post(
    "/verify",
    status_code=202,
    summary="Verify stored content now",
    responses=problems(503),
)
async def verify_integrity(services: Provided, caller: Operator) -> IntegrityRun:
    """As much as a scheduled run; one that is at work answers with itself. What was found wrong
    before is looked at first."""
    run_id = new_id()
    async with services.database.transaction(caller.access) as session:
        run = await integrity.open_run(session, caller.tenant_id, run_id, workflow_id(run_id))
        view = IntegrityRun.model_validate(run)
        name = run.workflow_id
        record(session, caller.act("integrity.verification_requested", "integrity_run", run.id))
    temporal = services.temporal
    try:
        async with asyncio.timeout(temporal.start_timeout_seconds):
            # Also for a run that was there: whoever made it may have died before starting it.
            request = VerifyIntegrityInput(tenant_id=caller.tenant_id)
            await start_verification(temporal.client, name, request)
    except (TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        raise OrchestratorUnavailable("Temporal did not start the verification.") from error
    return view

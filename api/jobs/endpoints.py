"""`/v1/jobs`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.jobs import service
from api.jobs.answering import answer_with_job
from api.jobs.schemas import DecisionBody, Job, ReprioritiseBody, RetryBody
from api.pagination import DEFAULT_LIMIT, Cursor, Limit, Page, TimeCursor, decode_cursor
from api.problem_responses import problems
from api.services import Provided
from muniment.contracts.ingest_file import (
    PAUSE_UPDATE,
    REPRIORITISE_UPDATE,
    RESUME_UPDATE,
    ReprioritiseRequest,
)
from muniment.contracts.jobs import JobState
from muniment.contracts.lifecycle import Verdict

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])

Reader = Annotated[Caller, Depends(require("jobs:read"))]
Writer = Annotated[Caller, Depends(require("jobs:write"))]
Decider = Annotated[Caller, Depends(require("quarantine:decide"))]


@router.get("", summary="List jobs, newest first", responses=problems(400))
async def list_jobs(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    file: Annotated[UUID | None, Query(description="Jobs of this file.")] = None,
    state: Annotated[JobState | None, Query(description="Jobs in this state.")] = None,
) -> Page[Job]:
    """Jobs of the files that the caller may read, as they were recorded."""
    place = decode_cursor(TimeCursor, cursor)
    return await service.list_jobs(
        services, caller, limit=limit, cursor=place, file_id=file, state=state
    )


@router.get("/{job_id}", summary="Show a job", responses=problems(404))
async def show_job(job_id: UUID, services: Provided, caller: Reader) -> Job:
    """Asks the workflow; `stale` when it does not answer in time."""
    return await service.show(services, caller, job_id)


@router.post("/{job_id}/cancel", summary="Cancel a job", responses=problems(404, 409, 503))
async def cancel_job(job_id: UUID, services: Provided, caller: Writer) -> Job:
    """The running page is told within seconds; the job's state follows."""
    return await service.command(services, caller, job_id, None)


@router.post("/{job_id}/pause", summary="Pause a job", responses=problems(404, 409, 503))
async def pause_job(job_id: UUID, services: Provided, caller: Writer) -> Job:
    return await service.command(services, caller, job_id, PAUSE_UPDATE)


@router.post("/{job_id}/resume", summary="Resume a paused job", responses=problems(404, 409, 503))
async def resume_job(job_id: UUID, services: Provided, caller: Writer) -> Job:
    return await service.command(services, caller, job_id, RESUME_UPDATE)


@router.post(
    "/{job_id}/reprioritise",
    summary="Change a job's priority",
    responses=problems(404, 409, 422, 503),
)
async def reprioritise_job(
    job_id: UUID, body: ReprioritiseBody, services: Provided, caller: Writer
) -> Job:
    argument = ReprioritiseRequest(priority=body.priority)
    return await service.command(services, caller, job_id, REPRIORITISE_UPDATE, argument)


@router.post(
    "/{job_id}/release",
    summary="Release a file from quarantine",
    responses=problems(404, 409, 503),
)
async def release_job(
    job_id: UUID, services: Provided, caller: Decider, body: DecisionBody | None = None
) -> Job:
    reason = body.reason if body else None
    return await service.decide(services, caller, job_id, Verdict.RELEASE, reason)


@router.post(
    "/{job_id}/reject", summary="Reject a file in quarantine", responses=problems(404, 409, 503)
)
async def reject_job(
    job_id: UUID, services: Provided, caller: Decider, body: DecisionBody | None = None
) -> Job:
    reason = body.reason if body else None
    return await service.decide(services, caller, job_id, Verdict.REJECT, reason)


@router.post(
    "/{job_id}/retry",
    status_code=202,
    summary="Retry a job, or its unread pages, as a new job",
    response_model=Job,
    responses=problems(404, 409, 422),
)
async def retry_job(
    job_id: UUID,
    request: Request,
    services: Provided,
    caller: Writer,
    body: RetryBody | None = None,
) -> Response:
    """What was read is found by its fingerprints and not read again."""
    wanted = body or RetryBody()
    return await answer_with_job(
        request,
        caller,
        services,
        wanted,
        lambda session: service.add_retry(session, caller, job_id, wanted),
        password=wanted.password,
    )

"""`/v1/reading-comparisons`, and `/v1/files/{id}/compare`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.jobs.answering import answer_with_job
from api.jobs.schemas import Job
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
from api.reading_comparisons.schemas import CompareBody, ComparisonSummary, ReadingComparison
from api.reading_comparisons.service import add_comparison
from api.reading_comparisons.view import comparison_view, summary_view
from api.services import Provided
from db.queries.comparison_reports import (
    ComparisonFilter,
    list_comparisons,
    summarise_comparisons,
)
from muniment.contracts.jobs import JobState

router = APIRouter(prefix="/v1", tags=["reading comparisons"])

Reader = Annotated[Caller, Depends(require("jobs:read"))]
Writer = Annotated[Caller, Depends(require("jobs:write"))]
Candidate = Annotated[
    str | None,
    Query(
        max_length=200,
        description="Of this candidate: `ocr_engine=tesseract`, `pdf_pipeline=docling`, or both joined"
        " by `+` (`%2B` in a URL).",
    ),
]
Since = Annotated[datetime | None, Query(description="Asked for at this time or later.")]


@router.get(
    "/reading-comparisons",
    summary="List comparisons of readings, newest first",
    responses=problems(400),
)
async def list_reading_comparisons(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    candidate: Candidate = None,
    file: Annotated[UUID | None, Query(description="Of this file.")] = None,
    state: Annotated[JobState | None, Query(description="Whose jobs are in this state.")] = None,
) -> Page[ReadingComparison]:
    """Of the files that the caller may read; of a version and candidate the newest."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await list_comparisons(
            session,
            ComparisonFilter(candidate, file, state),
            limit=limit + 1,
            after=place.key() if place else None,
        )
    shown, last = cut(rows, limit)
    following = None if last is None else TimeCursor(at=last["created_at"], id=last["job_id"])
    return Page(
        data=[comparison_view(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get(
    "/reading-comparisons/summary",
    summary="Say what each candidate would change",
    responses=problems(400),
)
async def summarise_reading_comparisons(
    services: Provided,
    caller: Reader,
    candidate: Candidate = None,
    since: Since = None,
    worst: Annotated[int, Query(ge=0, le=100, description="How many of the worst files.")] = 10,
) -> ComparisonSummary:
    """Over the files that the caller may read. `since` leaves out what an older version of the
    candidate read."""
    async with services.database.transaction(caller.access) as session:
        found = await summarise_comparisons(
            session, ComparisonFilter(candidate, since=since), worst=worst
        )
    return ComparisonSummary(data=[summary_view(each) for each in found])


@router.post(
    "/files/{file_id}/compare",
    status_code=202,
    summary="Compare what is published of a file with what a candidate reads",
    response_model=Job,
    responses=problems(404, 409, 422),
)
async def compare_file(
    file_id: UUID,
    request: Request,
    services: Provided,
    caller: Writer,
    body: CompareBody | None = None,
) -> Response:
    """A job that reads beside the file and changes nothing of it, or the one that is at it already.
    What it reads is found again when the candidate takes over."""
    wanted = body or CompareBody()
    return await answer_with_job(
        request,
        caller,
        services,
        wanted,
        lambda session: add_comparison(session, caller, file_id, wanted),
    )

"""`GET /v1/files/{id}/versions/{number}/comparison`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from api.authentication import Caller, require
from api.pagination import Cursor, NumberCursor, decode_cursor
from api.problem_responses import problems
from api.services import Provided
from api.version_comparisons import service
from api.version_comparisons.schemas import VersionComparison

router = APIRouter(prefix="/v1/files/{file_id}/versions", tags=["content"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
With = Annotated[
    int | None,
    Query(
        alias="with",
        ge=1,
        le=2**31 - 1,
        description="The version to compare it with; without it the one before.",
    ),
]
PairLimit = Annotated[int, Query(ge=1, le=100, description="How many pages at most.")]
Unchanged = Annotated[bool, Query(description="List pages that are as they were, too.")]


@router.get(
    "/{number}/comparison",
    summary="Compare a version's text with another's, page by page",
    responses=problems(400, 404, 409, 410, 422, 429),
)
async def compare_versions(
    file_id: UUID,
    number: Number,
    services: Provided,
    caller: Reader,
    former: With = None,
    unchanged: Unchanged = True,
    limit: PairLimit = 20,
    cursor: Cursor = None,
) -> VersionComparison:
    """Pages are found again by their words, wherever they stand. Of changed ones the words that were
    removed and added are given, with some words around them; at most 20,000 characters a page."""
    place = decode_cursor(NumberCursor, cursor)
    wanted = service.Wanted(number, former, limit, place.number if place else 0, unchanged)
    return await service.compare(services, caller, file_id, wanted)

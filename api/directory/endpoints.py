"""`/v1/directory`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query

from api.authentication import Caller, require
from api.directory import service
from api.directory.schemas import Found
from api.pagination import DEFAULT_LIMIT, Limit
from api.problem_responses import problems
from api.services import Provided
from api.storable_text import StorableText

router = APIRouter(prefix="/v1/directory", tags=["directory"])

Sharer = Annotated[Caller, Depends(require("files:share"))]
LONGEST_QUERY = 200


@router.get("", summary="Look up whom to share with", responses=problems(422))
async def look_up(
    services: Provided,
    caller: Sharer,
    query: Annotated[
        StorableText,
        Query(
            min_length=1, max_length=LONGEST_QUERY, description="A part of the name, in any case."
        ),
    ],
    limit: Limit = DEFAULT_LIMIT,
) -> Found:
    """People, programs and groups of the tenant, but none that was disabled or deleted; those whose names
    begin with the query come first."""
    async with services.database.transaction(caller.access) as session:
        return await service.look_up(session, query, limit)

"""`/v1/files/{id}/tier`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends

from api.authentication import Caller, require
from api.problem_responses import problems
from api.services import Provided
from api.tiers import service
from api.tiers.schemas import FileTiers, WantedTier

router = APIRouter(prefix="/v1/files", tags=["files"])

Reader = Annotated[Caller, Depends(require("files:read"))]
Writer = Annotated[Caller, Depends(require("files:write"))]


@router.get("/{file_id}/tier", summary="Show where a file's content lies", responses=problems(404))
async def show_tier(file_id: UUID, services: Provided, caller: Reader) -> FileTiers:
    return await service.show(services, caller, file_id)


@router.post(
    "/{file_id}/tier",
    status_code=202,
    summary="Move a file's content to the hot or the cold tier",
    responses=problems(404, 409, 410),
)
async def move_to_tier(
    file_id: UUID, body: WantedTier, services: Provided, caller: Writer
) -> FileTiers:
    """The content of all its versions, as it is sealed; what was made of it stays where it is. Content
    that another file has too moves for both. Needs the level `manage`."""
    return await service.move(services, caller, file_id, body.tier)

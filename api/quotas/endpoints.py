"""`/v1/quotas`."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.authentication import Caller, require
from api.problem_responses import problems
from api.quotas.schemas import Allowance, Quotas
from api.services import Provided
from db.queries.quotas import standing_of

router = APIRouter(prefix="/v1/quotas", tags=["quotas"])

Reader = Annotated[Caller, Depends(require("files:read"))]


@router.get("", summary="Show what the tenant keeps, and may keep", responses=problems())
async def show_quotas(services: Provided, caller: Reader) -> Quotas:
    """What would exceed it is refused with 403 `quota-exceeded`. The operator sets it, by tenant."""
    async with services.database.transaction(caller.access) as session:
        standing = await standing_of(session, services.uploads.default_quota)
    used, quota = standing.used, standing.quota
    return Quotas(
        bytes=Allowance(used=used.bytes, limit=quota.max_bytes),
        files=Allowance(used=used.files, limit=quota.max_files),
        pages=Allowance(used=used.pages, limit=quota.max_pages),
    )

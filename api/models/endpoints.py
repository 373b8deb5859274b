"""`/v1/models`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from api.authentication import Caller, require
from api.models import service
from api.models.schemas import LanguageModel, LanguageModels
from api.problem_responses import problems
from api.services import Provided

router = APIRouter(prefix="/v1/models", tags=["models"])

Asker = Annotated[Caller, Depends(require("search"))]
Manager = Annotated[Caller, Depends(require("tenants:manage"))]
Name = Annotated[str, Path(max_length=64)]


@router.get(
    "",
    summary="List the language models that answer, and what they cost",
    responses=problems(),
)
async def list_models(services: Provided, caller: Asker) -> LanguageModels:
    """In the order in which they are asked; none where the operator configured none. Which one answered
    a question says its `meta`."""
    async with services.database.transaction(caller.access) as session:
        return await service.list_models(session, services.permits)


@router.post("/{name}/pause", summary="Pause a language model", responses=problems(404))
async def pause_model(services: Provided, caller: Manager, name: Name) -> LanguageModel:
    """For administrators: for their tenant, and in a tenant that operates for every one. Questions go to
    the other models, or are answered by the documents' own sentences."""
    async with services.database.transaction(caller.access) as session:
        return await service.pause(session, caller, services.permits, name)


@router.post(
    "/{name}/resume", summary="Let a paused language model go on", responses=problems(404, 409)
)
async def resume_model(services: Provided, caller: Manager, name: Name) -> LanguageModel:
    """For administrators. 409 while the operator's pause holds."""
    async with services.database.transaction(caller.access) as session:
        return await service.resume(session, caller, services.permits, name)

"""`/openai/v1/models`."""

from fastapi import APIRouter, Depends

from api.authentication import require
from api.openai_compatible.errors import PREFIX
from api.openai_compatible.models.schemas import ModelList, ModelObject
from api.openai_compatible.models.service import model_names, require_model
from api.openai_compatible.responses import openai_problems
from api.services import Provided

router = APIRouter(prefix=f"{PREFIX}/models", tags=["OpenAI"])

_SEARCHING = [Depends(require("search"))]


@router.get(
    "", summary="List the ways to answer", responses=openai_problems(), dependencies=_SEARCHING
)
async def list_models(services: Provided) -> ModelList:
    """Which language models the operator configured, and their states, says `GET /v1/models`."""
    return ModelList(data=[ModelObject(id=each) for each in model_names(services)])


@router.get(
    "/{model}",
    summary="Show a way to answer",
    responses=openai_problems(404),
    dependencies=_SEARCHING,
)
async def show_model(model: str, services: Provided) -> ModelObject:
    return ModelObject(id=require_model(services, model))

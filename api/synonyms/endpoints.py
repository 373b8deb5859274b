"""`/v1/synonyms`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from api.authentication import Caller, require
from api.preconditions import IfMatch, tagged
from api.problem_responses import problems
from api.services import Provided
from api.synonyms import service
from api.synonyms.schemas import SynonymList

router = APIRouter(prefix="/v1/synonyms", tags=["search"])

Reader = Annotated[Caller, Depends(require("search"))]
Writer = Annotated[Caller, Depends(require("files:write"))]


@router.get("", summary="Show the words that mean the same", responses=problems())
async def show_synonyms(services: Provided, caller: Reader, response: Response) -> SynonymList:
    """In searches of the tenant by words, and in its answers."""
    async with services.database.transaction(caller.access) as session:
        found = await service.read_list(session)
    tagged(response, service.entity_tag(found))
    return found


@router.put("", summary="Set the words that mean the same", responses=problems(412, 422))
async def set_synonyms(
    body: SynonymList,
    services: Provided,
    caller: Writer,
    response: Response,
    if_match: IfMatch = None,
) -> SynonymList:
    """For administrators: the whole list, instead of what there was. It holds for queries from now on;
    nothing is indexed anew."""
    async with services.database.transaction(caller.access) as session:
        await service.set_list(session, caller, if_match, body)
    tagged(response, service.entity_tag(body))
    return body

"""`/v1/auth/session`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, RequireCaller
from api.problem_responses import Responses, documented, problems
from api.services import Provided
from api.sessions.cookie import (
    cookie_name,
    hand_out,
    require_cookie,
    session_cookie,
    take_back,
)
from api.sessions.own_page import csrf_token, require_own_page
from api.sessions.schemas import Session, SessionRequest
from api.sign_ins.service import begin, sign_out
from api.sign_ins.tokens import open_session

router = APIRouter(prefix="/v1/auth/session", tags=["signing in"])

SETS_THE_COOKIE: Responses = {
    201: {"headers": {"Set-Cookie": {"description": "The session.", "schema": {"type": "string"}}}}
}
Anyone = Annotated[Caller, Depends(RequireCaller())]


@router.post(
    "",
    status_code=201,
    summary="Sign in for a cookie",
    response_model=Session,
    responses={**SETS_THE_COOKIE, **documented(400, 401, 403, 422, 429, 503, 507)},
)
async def create_session(body: SessionRequest, request: Request, services: Provided) -> Response:
    """For pages of this API's own address. The cookie is `__Host-muniment_session` over https and
    `muniment_session_PORT` on this machine without; from elsewhere http gets 403. A session that the
    request came with ends."""
    require_own_page(request)
    name = cookie_name(request, services.people.limits.proxies)
    made = await begin(request, services, body, open_session)
    if (former := session_cookie(request)) is not None:
        await sign_out(services, former)
    shown = Session(csrf_token=csrf_token(made.secret), scope=" ".join(sorted(made.scopes)))
    answer = JSONResponse(shown.model_dump(mode="json"), status_code=201)
    hand_out(answer, name, made.secret, made.ends_at)
    return answer


@router.get("", summary="Show the session", responses=problems(404))
async def show_session(request: Request, caller: Anyone) -> Session:
    """What a page needs that was loaded anew. 404 for whoever came without a cookie."""
    cookie = require_cookie(request)
    return Session(csrf_token=csrf_token(cookie), scope=" ".join(sorted(caller.scopes)))


@router.delete(
    "",
    status_code=204,
    summary="Sign out",
    response_class=Response,
    responses=problems(404),
    dependencies=[Depends(RequireCaller())],
)
async def delete_session(request: Request, services: Provided) -> Response:
    """Ends the session, and takes the cookie back."""
    await sign_out(services, require_cookie(request))
    answer = Response(status_code=204)
    take_back(request, answer)
    return answer

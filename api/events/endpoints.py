"""`/v1/jobs/{id}/events`, `/v1/events`, `/v1/auth/stream-ticket`."""

from collections.abc import AsyncGenerator
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Query
from starlette.responses import Response

from api.authentication import Caller, require
from api.events import tickets
from api.events.authorization import StillAllowed, still_allowed, while_allowed
from api.events.response import EventStreamResponse
from api.events.tenant_stream import parse_event_id
from api.events.tickets import StreamTicket
from api.events.wire import MEDIA_TYPE
from api.problem_responses import Responses, problems
from api.services import Provided, Services
from muniment.errors import InvalidRequest

router = APIRouter(prefix="/v1", tags=["events"])

Viewer = Annotated[Caller, Depends(tickets.require_or_ticket("jobs:read"))]
Reader = Annotated[Caller, Depends(require("jobs:read"))]
LastEventIdHeader = Annotated[str | None, Header(alias="Last-Event-ID", max_length=64)]
LastEventIdQuery = Annotated[
    str | None, Query(alias="last_event_id", max_length=64, description="As Last-Event-ID.")
]
_STREAM: Responses = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}


@router.get(
    "/jobs/{job_id}/events",
    summary="Follow a job",
    response_class=Response,
    responses={
        **problems(400, 404, 409, 429),
        **_STREAM,
        204: {"description": "The id was that of the job's end: nothing more comes."},
    },
)
async def job_events(
    job_id: UUID,
    services: Provided,
    caller: Viewer,
    last_event_id: LastEventIdHeader = None,
    last_event_id_query: LastEventIdQuery = None,
) -> Response:
    """Server-sent events `snapshot`, `stage`, `page`, `state`, `retry`, `end`. `Last-Event-ID`
    resumes without loss, or is 409 where events behind it are no longer kept or it is none of this job's:
    open it without an id then. A heartbeat comment comes every 15 seconds."""
    last_id = parse_sequence(last_event_id or last_event_id_query)
    stream = await services.events.job_stream(caller.access, job_id, last_id)
    if stream is None:
        return Response(status_code=204)
    return _respond(services, stream, still_allowed(services.database, caller, job_id))


@router.get(
    "/events",
    summary="Follow all jobs of the tenant",
    response_class=Response,
    responses={**problems(400, 409, 429), **_STREAM},
)
async def tenant_events(
    services: Provided,
    caller: Viewer,
    last_event_id: LastEventIdHeader = None,
    last_event_id_query: LastEventIdQuery = None,
) -> Response:
    """Of the files that the caller may read, in commit order, with ids of its own. It opens with a
    `snapshot` of every job that is not over. `Last-Event-ID` resumes without loss; 409 where events
    behind it were erased with their file, whether or not the caller could read that, and where it is from
    before the database was restored: open it without an id then, and ask `GET /v1/jobs` how jobs that are
    in no snapshot ended."""
    value = last_event_id or last_event_id_query
    cursor = parse_event_id(value) if value else None
    stream = await services.events.tenant_stream(caller.access, cursor)
    return _respond(services, stream, still_allowed(services.database, caller))


@router.post(
    "/auth/stream-ticket",
    status_code=201,
    summary="Get a ticket for one event stream",
    responses=problems(403),
)
async def create_stream_ticket(services: Provided, caller: Reader) -> StreamTicket:
    """For browsers, whose EventSource sends no Authorization: pass it as `?ticket=` within a minute;
    it opens one stream."""
    return await tickets.issue(services, caller)


def parse_sequence(value: str | None) -> int | None:
    if not value:
        return None
    if not (value.isascii() and value.isdigit()) or int(value) >= 2**63:
        raise InvalidRequest("the last event id is none of this stream's")
    return int(value)


def _respond(
    services: Services, stream: AsyncGenerator[bytes, None], is_allowed: StillAllowed
) -> Response:
    """Takes a slot for as long as the stream lasts; TooManyRequests when all are taken."""
    services.events.slots.acquire()
    return EventStreamResponse(while_allowed(stream, is_allowed), services.events.slots.release)

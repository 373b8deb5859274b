"""`/v1/temporal/codec/{decode,encode}`: Temporal's remote codec protocol.

temporal workflow show -w ID --codec-endpoint URL/v1/temporal/codec --codec-auth "Bearer mun_…"
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from google.protobuf import json_format
from starlette.responses import Response
from temporalio.api.common.v1 import Payload, Payloads

from api.authentication import Caller, require
from api.problem_responses import problems
from api.services import Provided, Services
from db.audit import record
from muniment.errors import InvalidRequest

PREFIX = "/v1/temporal/codec"
router = APIRouter(prefix=PREFIX, tags=["temporal"])

Operator = Annotated[Caller, Depends(require("payloads:read"))]
_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
}


@router.post(
    "/decode",
    summary="Decrypt Temporal payloads",
    response_class=Response,
    openapi_extra=_BODY,
    responses=problems(400, 413),
)
async def decode(request: Request, services: Provided, caller: Operator) -> Response:
    """Payloads hold references, never a document's content."""
    codec = services.temporal.client.data_converter.payload_codec
    return await _convert(request, services, caller, "decoded", codec.decode if codec else None)


@router.post(
    "/encode",
    summary="Encrypt Temporal payloads",
    response_class=Response,
    openapi_extra=_BODY,
    responses=problems(400, 413),
)
async def encode(request: Request, services: Provided, caller: Operator) -> Response:
    """For what operators send with Temporal's own tools."""
    codec = services.temporal.client.data_converter.payload_codec
    return await _convert(request, services, caller, "encoded", codec.encode if codec else None)


async def _convert(
    request: Request,
    services: Services,
    caller: Caller,
    done: str,
    conversion: Callable[[Sequence[Payload]], Awaitable[list[Payload]]] | None,
) -> Response:
    try:
        payloads = json_format.Parse(await request.body(), Payloads())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("the body is not a list of Temporal payloads") from None
    converted = payloads.payloads if conversion is None else await conversion(payloads.payloads)
    async with services.database.transaction(caller.access) as session:
        count = len(converted)
        record(session, caller.act(f"payloads.{done}", "payload", None, {"count": count}))
    body = json_format.MessageToJson(Payloads(payloads=converted))
    return Response(body, media_type="application/json")

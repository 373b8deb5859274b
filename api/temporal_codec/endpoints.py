"""`/v1/temporal/codec/{decode,encode}`: Temporal's remote codec protocol.

temporal workflow show -w ID --codec-endpoint URL/v1/temporal/codec --codec-auth "Bearer mun_…"
"""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from google.protobuf import json_format
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response
from temporalio.api.common.v1 import Payload, Payloads

from api.authentication import Caller, require
from api.problem_responses import problems
from api.services import Provided
from api.temporal_codec.ownership import own_alone
from api.tenants.service import is_operator
from db.audit import record
from muniment.errors import InvalidRequest

PREFIX = "/v1/temporal/codec"
router = APIRouter(prefix=PREFIX, tags=["temporal"])

Reader = Annotated[Caller, Depends(require("payloads:read"))]
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
async def decode(request: Request, services: Provided, caller: Reader) -> Response:
    """Payloads hold references, never a document's content. Those that do not name the caller's tenant
    come back as they are, unless the caller operates the deployment."""
    payloads = await _payloads_of(request)
    codec = services.temporal.client.data_converter.payload_codec
    decoded = payloads if codec is None else await codec.decode(payloads)
    async with services.database.transaction(caller.access) as session:
        if not await is_operator(session, caller):
            decoded = own_alone(caller.tenant_id, payloads, decoded)
        opened = [one is not other for one, other in zip(payloads, decoded, strict=True)]
        _record(session, caller, "decoded", sum(opened))
    return _answer(decoded)


@router.post(
    "/encode",
    summary="Encrypt Temporal payloads",
    response_class=Response,
    openapi_extra=_BODY,
    responses=problems(400, 413),
)
async def encode(request: Request, services: Provided, caller: Reader) -> Response:
    """For what operators send with Temporal's own tools."""
    payloads = await _payloads_of(request)
    codec = services.temporal.client.data_converter.payload_codec
    encoded = payloads if codec is None else await codec.encode(payloads)
    async with services.database.transaction(caller.access) as session:
        _record(session, caller, "encoded", len(encoded))
    return _answer(encoded)


async def _payloads_of(request: Request) -> list[Payload]:
    try:
        return [*json_format.Parse(await request.body(), Payloads()).payloads]
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("the body is not a list of Temporal payloads") from None


def _record(session: AsyncSession, caller: Caller, done: str, count: int) -> None:
    record(session, caller.act(f"payloads.{done}", "payload", None, {"count": count}))


def _answer(payloads: Sequence[Payload]) -> Response:
    body = json_format.MessageToJson(Payloads(payloads=payloads))
    return Response(body, media_type="application/json")

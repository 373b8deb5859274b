"""`/v1/temporal/codec/{decode,encode}`: Temporal's remote codec protocol.

temporal workflow show -w ID --codec-endpoint URL/v1/temporal/codec --codec-auth "Bearer mun_…"
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from google.protobuf import json_format
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from api.authentication import Caller, require
from api.problem_responses import problems
from api.services import Provided
from api.temporal_codec.ownership import own_alone
from api.tenants.service import is_operator
from db.audit import record
from muniment.errors import ContentTooLarge, Forbidden, InvalidRequest
from muniment.payloads import EncryptionCodec

PREFIX = "/v1/temporal/codec"
MAX_PAYLOADS = 1_000
"""Temporal's UI and command line send those of one page of a history."""
MAX_DECODED_BYTES = 8 * 1024**2
"""Of one answer's payloads together: the body's limit, several times inflated."""
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
    come back as they are, unless the caller operates the deployment. Up to 1,000 at a time."""
    codec = services.temporal.client.data_converter.payload_codec
    async with services.database.transaction(caller.access) as session:
        operates = await is_operator(session, caller)
    reader = None if operates else caller.tenant_id
    # A thread of its own: whatever was sent, others are answered meanwhile.
    opened, answer = await asyncio.to_thread(_decoded, await request.body(), codec, reader)
    async with services.database.transaction(caller.access) as session:
        _record(session, caller, "decoded", opened)
    return answer


@router.post(
    "/encode",
    summary="Encrypt Temporal payloads",
    response_class=Response,
    openapi_extra=_BODY,
    responses=problems(400, 413),
)
async def encode(request: Request, services: Provided, caller: Reader) -> Response:
    """For what operators send with Temporal's own tools, and for nobody else: what is sealed says of
    itself whose it is, and is believed. Up to 1,000 at a time."""
    async with services.database.transaction(caller.access) as session:
        if not await is_operator(session, caller):
            raise Forbidden(
                "only an administrator of the tenant that operates encrypts payloads",
                remedy="Ask the operator of the deployment.",
            )
    payloads = await asyncio.to_thread(_payloads_of, await request.body())
    codec = services.temporal.client.data_converter.payload_codec
    encoded = payloads if codec is None else await codec.encode(payloads)
    async with services.database.transaction(caller.access) as session:
        _record(session, caller, "encoded", len(encoded))
    return _answer(encoded)


def _decoded(body: bytes, codec: PayloadCodec | None, reader: UUID | None) -> tuple[int, Response]:
    """How many were opened, and all of them; `reader` is the tenant whose own are, None for all."""
    payloads = decoded = _payloads_of(body)
    if isinstance(codec, EncryptionCodec):
        decoded = codec.decode_within(payloads, MAX_DECODED_BYTES)
    if reader is not None:
        decoded = own_alone(reader, payloads, decoded)
    opened = sum(one is not other for one, other in zip(payloads, decoded, strict=True))
    return opened, _answer(decoded)


def _payloads_of(body: bytes) -> list[Payload]:
    try:
        payloads = [*json_format.Parse(body, Payloads()).payloads]
    except (json_format.ParseError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest("the body is not a list of Temporal payloads") from None
    if len(payloads) > MAX_PAYLOADS:
        raise ContentTooLarge(
            f"there are more than {MAX_PAYLOADS} payloads", remedy="Send fewer of them at a time."
        )
    return payloads


def _record(session: AsyncSession, caller: Caller, done: str, count: int) -> None:
    record(session, caller.act(f"payloads.{done}", "payload", None, {"count": count}))


def _answer(payloads: Sequence[Payload]) -> Response:
    body = json_format.MessageToJson(Payloads(payloads=payloads))
    return Response(body, media_type="application/json")

"""`/v1/erasures`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from api.authentication import Caller, require
from api.erasures import service
from api.erasures.schemas import ContentProof, ErasedContent, Erasure, NewErasure
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.jobs.starting import start_job
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.problem_responses import problems
from api.services import Provided
from muniment.erasure_certificates import ErasureCertificate

router = APIRouter(prefix="/v1/erasures", tags=["governance"])

Eraser = Annotated[Caller, Depends(require("files:delete"))]


@router.post(
    "",
    status_code=202,
    summary="Have a file erased, as soon as nothing keeps it",
    response_model=Erasure,
    responses=problems(404, 409, 410, 422),
)
async def request_erasure(
    body: NewErasure, request: Request, services: Provided, caller: Eraser
) -> Response:
    """Out of sight and search at once. What a hold or a lock keeps is restricted and waits as `held`; it is
    erased when the last of them has ended."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            ordered = await service.order(session, caller, body.file_id, body.reason)
            view = Erasure.of(ordered[0][1])
            answer = Answer(202, view.model_dump(mode="json"), f"{router.prefix}/{view.id}")
            await attempt.complete(session, answer)
    # Those of its members are started by the workers.
    await start_job(services, ordered[0][0])
    return json_answer(answer)


@router.get("", summary="List erasures, newest first", responses=problems(400))
async def list_erasures(
    services: Provided, caller: Eraser, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Erasure]:
    """Of files that the caller may read."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await service.list_erasures(session, limit + 1, place.key() if place else None)
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[Erasure.of(row) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get("/{erasure_id}", summary="Show an erasure", responses=problems(404))
async def show_erasure(erasure_id: UUID, services: Provided, caller: Eraser) -> Erasure:
    async with services.database.transaction(caller.access) as session:
        return Erasure.of(await service.require_erasure(session, erasure_id))


@router.get(
    "/{erasure_id}/certificate",
    summary="Have an erasure certified",
    responses=problems(404, 409, 410),
)
async def show_certificate(
    erasure_id: UUID, services: Provided, caller: Eraser
) -> ErasureCertificate:
    """What was erased, how, and what lives on: sealed in the audit trail, and signed with it. `muniment
    erasures verify` needs no server to tell whether it holds."""
    async with services.database.transaction(caller.access) as session:
        return await service.certify(session, erasure_id)


@router.post(
    "/{erasure_id}/proofs",
    summary="Prove that a copy is of what was erased",
    responses=problems(404, 422),
)
async def prove_erased_content(
    erasure_id: UUID, body: ErasedContent, services: Provided, caller: Eraser
) -> ContentProof:
    """For who has a copy: what shows anybody, with the copy and the certificate and without any server, that
    this is what was erased. `muniment erasures prove` asks for it."""
    return await service.prove(services, caller, erasure_id, bytes.fromhex(body.sha256))

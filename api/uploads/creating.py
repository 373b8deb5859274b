"""POST: a new upload, with its first bytes or without; an empty one and a final one are files at once."""

import asyncio
import json
import logging
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import JSONResponse, Response

from api.authentication import Caller
from api.files.passwords import PASSWORD_HEADER
from api.files.uploading import writable_collection
from api.idempotency import REPLAYED_HEADER, Answer, Attempt, hash_of, idempotent
from api.services import Services
from api.uploads.access import require_open, require_upload
from api.uploads.continuing import append_body
from api.uploads.finishing import make_file, require_keepable
from api.uploads.joining import joining
from api.uploads.metadata import Description, decode, describe
from api.uploads.protocol import (
    Creation,
    creation,
    offset_headers,
    require_piece,
    too_large,
)
from api.uploads.receiving import MAX_PARTS, require_receivable
from api.uploads.schemas import upload_view
from api.uploads.tus_headers import BASE
from db.audit import record
from db.models import Upload, new_id, now
from db.queries import jobs, resumable_uploads
from db.queries.quotas import standing_of
from db.queries.resumable_uploads import StoredPart, UploadState
from db.queries.uploads import needed_for
from muniment.errors import Conflict, ContentTooLarge, InvalidRequest, MunimentError

logger = logging.getLogger(__name__)

CREATED = 201


async def create_upload(request: Request, caller: Caller, services: Services) -> Response:
    """201 with the upload's address; `Muniment-File` where it is a file already."""
    wanted = creation(request.headers, services.uploads.max_bytes)
    has_body = _has_body(request)
    if has_body:
        # What can be refused is refused before there is an upload that nobody would hear of.
        limit = services.uploads.max_bytes if wanted.size is None else wanted.size
        require_receivable(request, limit)
    with services.uploads.slots.take():
        return await _create(request, caller, services, wanted, has_body=has_body)


async def _create(
    request: Request, caller: Caller, services: Services, wanted: Creation, *, has_body: bool
) -> Response:
    async with idempotent(request, caller, services.database) as attempt:
        replayed = attempt.replay(_request_hash(wanted))
        if replayed is not None:
            return await _again(request, caller, services, replayed)
        description = await _described(request, caller, services, wanted)
        if wanted.is_final:
            upload = await _concatenate(caller, services, wanted, description, attempt)
        elif wanted.size == 0 and description is not None:
            upload = await _create_empty(caller, services, wanted, description, attempt)
        else:
            upload = await _open(caller, services, wanted, description, attempt)
        is_repeatable = attempt.completed
    if has_body and upload.closed_at is None:
        try:
            upload = await append_body(request, caller, services, upload, upload.size)
        except BaseException:
            if not is_repeatable:
                await asyncio.shield(_abandon(caller, services, upload.id))
            raise
    return _created(request, upload)


async def _abandon(caller: Caller, services: Services, upload_id: UUID) -> None:
    """Whoever did not get the answer does not know the address; never raises."""
    try:
        async with services.database.transaction(caller.access) as session:
            upload = await require_open(session, caller, upload_id, for_update=True)
            await resumable_uploads.close(session, upload, UploadState.TERMINATED)
            record(session, caller.act("upload.terminated", "upload", upload_id))
    except MunimentError as error:
        logger.warning("an upload without a reader was left open", exc_info=error)


def _has_body(request: Request) -> bool:
    """Whether the upload's first bytes come along; raises UnsupportedMediaType for other bodies."""
    length = request.headers.get("content-length", "0")
    if length == "0" and "transfer-encoding" not in request.headers:
        return False
    require_piece(request.headers)
    return True


def _request_hash(wanted: Creation) -> bytes:
    """What tells two creations apart under one idempotency key: not the bytes that came along, since
    whoever was cut off asks how far they got."""
    return hash_of(repr(wanted.size), wanted.described, wanted.concatenation)


async def _described(
    request: Request, caller: Caller, services: Services, wanted: Creation
) -> Description | None:
    """The checked fields: what is wrong with them, or one job too many, costs no transfer. None for a
    partial upload, whose final one has them."""
    if wanted.is_partial:
        decode(wanted.described)
        return None
    description = describe(wanted.described, request.headers.get(PASSWORD_HEADER))
    async with services.database.transaction(caller.access) as session:
        await writable_collection(session, description.fields.collection)
        await jobs.require_place(session, services.max_open_jobs)
    return description


def _new(caller: Caller, services: Services, wanted: Creation) -> Upload:
    return Upload(
        id=new_id(),
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        state=UploadState.OPEN,
        size=wanted.size,
        described=wanted.described,
        concatenation=wanted.concatenation,
        expires_at=now() + services.uploads.expiry,
    )


async def _open(
    caller: Caller,
    services: Services,
    wanted: Creation,
    description: Description | None,
    attempt: Attempt,
) -> Upload:
    upload = _new(caller, services, wanted)
    async with services.database.transaction(caller.access) as session:
        await resumable_uploads.add_open(session, upload, services.uploads.open)
        # Of uploads that begin at once, each is asked for room beside those before it.
        promised = await resumable_uploads.bytes_of_others(session, upload)
        if description is None:
            standing = await standing_of(session, services.uploads.default_quota)
            needed = needed_for(wanted.size or 0, is_new_file=False)
            standing.require_room(needed, promised)
        else:
            await require_keepable(session, services, description, wanted.size, promised)
        record(session, caller.act("upload.created", "upload", upload.id))
        await attempt.complete(session, _answer(upload))
    return upload


async def _create_empty(
    caller: Caller,
    services: Services,
    wanted: Creation,
    description: Description,
    attempt: Attempt,
) -> Upload:
    upload = _new(caller, services, wanted)

    async def commit(session: AsyncSession, file_id: UUID) -> None:
        await _add_finished(session, caller, upload, file_id, attempt)

    await make_file(services, caller, description, (), commit)
    return upload


async def _concatenate(
    caller: Caller,
    services: Services,
    wanted: Creation,
    description: Description | None,
    attempt: Attempt,
) -> Upload:
    """Joins partial uploads, which have ended thereby."""
    if description is None or len(set(wanted.partials)) != len(wanted.partials):
        raise InvalidRequest("a final upload is joined from different partial ones")
    async with joining(services, caller, wanted.partials):
        return await _joined(caller, services, wanted, description, attempt)


async def _joined(
    caller: Caller,
    services: Services,
    wanted: Creation,
    description: Description,
    attempt: Attempt,
) -> Upload:
    async with services.database.transaction(caller.access) as session:
        joined = [
            await _complete_partial(session, caller, each, for_update=True)
            for each in sorted(wanted.partials)
        ]
        if sum(partial.parts for partial in joined) > MAX_PARTS:
            raise ContentTooLarge(
                f"together the partial uploads have more than {MAX_PARTS} pieces",
                remedy="Send larger pieces.",
            )
        for partial in joined:
            partial.expires_at = now() + services.uploads.expiry
        size_bytes = sum(partial.received for partial in joined)
        await require_keepable(session, services, description, size_bytes)
        parts: list[StoredPart] = []
        for partial_id in wanted.partials:
            parts += await resumable_uploads.parts_of(session, partial_id)
    upload = _new(caller, services, wanted)
    upload.size = upload.received = sum(partial.received for partial in joined)
    if upload.received > services.uploads.max_bytes:
        raise too_large(services.uploads.max_bytes)

    async def commit(session: AsyncSession, file_id: UUID) -> None:
        for partial_id in sorted(wanted.partials):
            partial = await _complete_partial(session, caller, partial_id, for_update=True)
            await resumable_uploads.close(session, partial, UploadState.FINISHED, file_id)
        await _add_finished(session, caller, upload, file_id, attempt)

    await make_file(services, caller, description, parts, commit)
    return upload


async def _complete_partial(
    session: AsyncSession, caller: Caller, upload_id: UUID, *, for_update: bool = False
) -> Upload:
    partial = await require_open(session, caller, upload_id, for_update=for_update)
    if not partial.concatenation:
        raise InvalidRequest("Upload-Concat names an upload that is not a partial one")
    if partial.received != partial.size:
        raise Conflict("a partial upload is not complete yet")
    return partial


async def _add_finished(
    session: AsyncSession, caller: Caller, upload: Upload, file_id: UUID, attempt: Attempt
) -> None:
    session.add(upload)
    await session.flush()
    await resumable_uploads.close(session, upload, UploadState.FINISHED, file_id)
    record(session, caller.act("upload.created", "upload", upload.id))
    await attempt.complete(session, _answer(upload))


async def _again(
    request: Request, caller: Caller, services: Services, replayed: Response
) -> Response:
    """The first answer again, with the offset as it is now; as it was where the upload is gone."""
    upload_id = UUID(json.loads(bytes(replayed.body))["id"])
    try:
        async with services.database.transaction(caller.access) as session:
            upload = await require_upload(session, caller, upload_id)
    except MunimentError:
        return replayed
    answer = _created(request, upload)
    answer.headers[REPLAYED_HEADER] = "true"
    return answer


def _answer(upload: Upload) -> Answer:
    return Answer(CREATED, upload_view(upload).model_dump(mode="json"), f"/v1/uploads/{upload.id}")


def _created(request: Request, upload: Upload) -> Response:
    location = f"{request.scope[BASE]}{upload.id}"
    body = upload_view(upload).model_dump(mode="json")
    headers = {"Location": location, **offset_headers(upload)}
    return JSONResponse(body, status_code=CREATED, headers=headers)

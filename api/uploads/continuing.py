"""PATCH, and the body of a POST: what follows the offset is appended; the last piece makes the file."""

import asyncio
from collections.abc import Mapping
from uuid import UUID

from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.passwords import PASSWORD_HEADER
from api.files.uploading import longest_known
from api.services import Services
from api.uploads.access import require_open, require_upload
from api.uploads.finishing import make_file, require_keepable
from api.uploads.joining import joining
from api.uploads.metadata import describe
from api.uploads.protocol import FINAL, announced_size, require_piece, required_offset
from api.uploads.receiving import PartReception
from db.models import Upload, now
from db.queries import resumable_uploads
from db.queries.quotas import standing_of
from db.queries.resumable_uploads import StoredPart, UploadState
from db.queries.uploads import Room
from muniment.errors import Conflict, Forbidden, InvalidRequest


async def continue_upload(
    request: Request, caller: Caller, services: Services, upload_id: UUID
) -> Upload:
    """One PATCH; the upload as it is after it."""
    with services.uploads.slots.take():
        async with services.database.transaction(caller.access) as session:
            upload = await require_upload(session, caller, upload_id, for_update=True)
            if upload.concatenation.startswith(FINAL):
                raise Forbidden("a final upload has all that it consists of")
            require_piece(request.headers)
            if required_offset(request.headers) != upload.received:
                raise Conflict(
                    f"the upload's offset is {upload.received}",
                    remedy="Ask for the offset with HEAD, and send what follows it.",
                )
            if upload.closed_at is not None:
                raise Conflict("the upload is finished")
            size = _size(request, services, upload)
            # What is on its way now does not run out of time.
            upload.expires_at = now() + services.uploads.expiry
        return await append_body(request, caller, services, upload, size)


def _size(request: Request, services: Services, upload: Upload) -> int | None:
    """The upload's size as it is known with this request."""
    size = announced_size(request.headers, services.uploads.max_bytes)
    if size is None:
        return upload.size
    if upload.size is not None and size != upload.size:
        raise InvalidRequest("the upload's length was given before, and is another")
    if size < upload.received:
        raise InvalidRequest("more has come than this length")
    return size


async def append_body(
    request: Request, caller: Caller, services: Services, upload: Upload, size: int | None
) -> Upload:
    """Appends the request's body; the upload as it is after it. The caller has a slot."""
    room = None if size is not None else await _room(services, caller, upload)
    reception = PartReception(services, caller, upload, request, size, room)
    try:
        await reception.receive()
        if reception.makes_file:
            async with joining(services, caller, [upload.id]):
                await _finish(request, caller, services, upload, reception)
    except BaseException:
        await asyncio.shield(reception.discard())
        raise
    async with services.database.transaction(caller.access) as session:
        return await require_upload(session, caller, upload.id)


async def _room(services: Services, caller: Caller, upload: Upload) -> Room | None:
    """Beside what other unfinished uploads were promised; None for any number of bytes. A partial upload
    has no name, and nothing that it may turn out to be."""
    async with services.database.transaction(caller.access) as session:
        standing = await standing_of(session, services.uploads.default_quota)
        if standing.quota.max_bytes is None:
            return None
        promised = await resumable_uploads.bytes_of_others(session, upload)
    if upload.concatenation:
        return Room(standing, promised_bytes=promised)
    named = describe(upload.described).fields

    async def known_bytes(_: Mapping[str, str]) -> int:
        return await longest_known(services, caller, named.collection, named.name)

    return Room(standing, known_bytes, promised)


async def _finish(
    request: Request,
    caller: Caller,
    services: Services,
    upload: Upload,
    reception: PartReception,
) -> None:
    """The last piece is acknowledged in the transaction that makes the file: an upload that is whole
    and did not become a file does not exist, however the process ends."""
    description = describe(upload.described, request.headers.get(PASSWORD_HEADER))
    async with services.database.transaction(caller.access) as session:
        # Known before all is read and written once more.
        reception.require_unchanged(await require_open(session, caller, upload.id))
        await require_keepable(session, services, description, reception.offset)
        parts = await resumable_uploads.parts_of(session, upload.id)
    pending = reception.pending
    parts += [StoredPart(part.blob_id, part.size) for part in pending]

    async def commit(session: AsyncSession, file_id: UUID) -> None:
        present = await require_open(session, caller, upload.id, for_update=True)
        reception.require_unchanged(present)
        expires_at = now() + services.uploads.expiry
        await resumable_uploads.append_parts(session, present, pending, expires_at)
        present.size = present.received
        await resumable_uploads.close(session, present, UploadState.FINISHED, file_id)

    await make_file(services, caller, description, parts, commit)

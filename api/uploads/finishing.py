"""Makes a file of an upload that is whole: its parts are joined by streaming them once into a blob of
their own, and from there on it is as if the file had come in one piece."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.discarding import discard_blob
from api.files.passwords import discard_password, seal_password
from api.files.reception import Content, Received, storing
from api.files.schemas import OnConflict
from api.files.uploading import Outcome, drop_duplicate, record_upload, writable_collection
from api.jobs.starting import start_job
from api.services import Services
from api.uploads.metadata import Description
from db.queries.job_passwords import keep_password
from db.queries.resumable_uploads import StoredPart
from db.queries.uploads import Announced, require_room_for
from muniment.objects import BlobStore, SealedBlob

Commit = Callable[[AsyncSession, UUID], Awaitable[None]]
"""What is committed together with the file of that id."""


async def require_keepable(
    session: AsyncSession,
    services: Services,
    description: Description,
    size_bytes: int | None,
    promised_bytes: int = 0,
) -> None:
    """Raises Unprocessable where the collection may not be written, and QuotaExceeded where the tenant
    has no room for what is on its way."""
    fields = description.fields
    collection = await writable_collection(session, fields.collection)
    is_version = fields.on_conflict is OnConflict.VERSION
    announced = Announced(collection.id, fields.name, size_bytes, is_version)
    quota = services.uploads.default_quota
    await require_room_for(session, announced, quota, promised_bytes)


async def make_file(
    services: Services,
    caller: Caller,
    description: Description,
    parts: Sequence[StoredPart],
    commit: Commit,
) -> None:
    """Records the file and starts its job. Whatever goes wrong before the commit, nothing of the file
    stays behind and the upload is as it was."""
    content: Content | None = None
    password: SealedBlob | None = None
    try:
        joined = _joined(services.blobs, caller.tenant_id, parts)
        async with aclosing(joined):
            content = await storing(services.blobs, caller.tenant_id)(joined)
        password = await seal_password(services, caller.tenant_id, description.fields.password)
        received = Received(description.fields, description.media_type, content)
        outcome = await _record(services, caller, received, password, commit)
    except BaseException:
        await asyncio.shield(_discard(services, caller, content, password))
        raise
    await drop_duplicate(services, caller, received, outcome)
    if outcome.job is None:
        await discard_password(services, caller.access, password)
    else:
        await start_job(services, outcome.job)


async def _record(
    services: Services,
    caller: Caller,
    received: Received,
    password: SealedBlob | None,
    commit: Commit,
) -> Outcome:
    async with (
        services.uploads.turns.take(caller.tenant_id),
        services.database.transaction(caller.access) as session,
    ):
        quota = services.uploads.default_quota
        outcome = await record_upload(session, caller, received, quota)
        if outcome.job is not None and password is not None:
            await keep_password(session, outcome.job, password)
        await commit(session, outcome.file_id)
    return outcome


async def _joined(
    blobs: BlobStore, tenant_id: UUID, parts: Sequence[StoredPart]
) -> AsyncGenerator[bytes, None]:
    """Opens one part after the other; holds a few slices of one at a time."""
    for part in parts:
        async with aclosing(blobs.read(tenant_id, part.blob_id, part.size)) as pieces:
            async for piece in pieces:
                yield piece


async def _discard(
    services: Services, caller: Caller, content: Content | None, password: SealedBlob | None
) -> None:
    sealed = content.sealed if content is not None else None
    await discard_blob(services, caller.access, sealed, "a refused upload's blob was left behind")
    await discard_password(services, caller.access, password)

"""What an upload makes: a file, a version, a job, in one transaction; then the job is started."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from fastapi import Request
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.authentication import Caller
from api.files.discarding import discard_blob
from api.files.listing import file_views
from api.files.passwords import discard_password, seal_password, tag_of
from api.files.preserved import require_readable_anew, require_replaceable
from api.files.reception import (
    FieldsOf,
    Received,
    Reception,
    Sink,
    announced_content_size,
    hashing,
    is_form,
    storing,
    upload_fields,
)
from api.files.schemas import OnConflict
from api.files.service import add_metadata, require_file
from api.idempotency import Answer, Attempt, idempotent, json_answer
from api.jobs.making import new_ingestion
from api.jobs.starting import start_job
from api.services import Services
from db.audit import record
from db.models import Collection, File, FileVersion, Job, new_id, now
from db.queries import collections, files, jobs, uploads
from db.queries.files import FileDetail
from db.queries.job_passwords import keep_password
from db.queries.quotas import Quota, standing_of
from db.queries.uploads import KnownBytes, Room
from db.session import Access
from muniment.contracts.jobs import FileState, JobState
from muniment.contracts.media_types import UNKNOWN_MEDIA_TYPE, media_type_of_name
from muniment.contracts.move_tier import Tier
from muniment.errors import Conflict, MunimentError, NotFound, Unprocessable
from muniment.objects import SealedBlob

logger = logging.getLogger(__name__)

_FAILED = (JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True)
class Outcome:
    """What came of an upload; without a job everything was there already. `made` is a new file of content
    that is new as well, of which nobody else can have changed anything."""

    file_id: UUID
    blob_id: UUID
    job: Job | None
    deduplicated: bool
    made: FileDetail | None = None


async def upload(
    request: Request,
    caller: Caller,
    services: Services,
    file_id: UUID | None = None,
    *,
    fields_of: FieldsOf = upload_fields,
) -> Response:
    """Receives and records one upload: a new file, or a version of the file that is given. `fields_of`
    checks what came with the bytes.

    202 with the File and its job; 200 when the caller may read the same content under the same name
    already. Whatever goes wrong before the commit, nothing of the upload stays behind.
    """
    limits = services.uploads
    async with idempotent(request, caller, services.database) as attempt:
        with limits.slots.take():
            sink: Sink = hashing
            if not attempt.is_repetition:
                sink = storing(services.blobs, caller.tenant_id)
            name, room = await _look_ahead(request, services, caller, attempt, file_id, fields_of)
            reception = Reception(request, sink, limits.max_bytes, name, room, fields_of)
            password: SealedBlob | None = None
            try:
                received = await reception.receive()
                password = await seal_password(services, caller.tenant_id, received.fields.password)
                replayed = attempt.replay(received.request_hash(tag_of(password)))
                if replayed is not None:
                    await discard_password(services, caller.access, password)
                    return replayed
                answer, outcome = await _commit(
                    services, caller, attempt, received, file_id, password
                )
            except BaseException:
                await asyncio.shield(_discard(services, caller.access, reception))
                await asyncio.shield(discard_password(services, caller.access, password))
                raise
            await drop_duplicate(services, caller, received, outcome)
            if outcome.job is None:
                await discard_password(services, caller.access, password)
        if outcome.job is not None:
            await start_job(services, outcome.job)
        return json_answer(answer)


async def _look_ahead(
    request: Request,
    services: Services,
    caller: Caller,
    attempt: Attempt,
    file_id: UUID | None,
    fields_of: FieldsOf,
) -> tuple[str | None, Room | None]:
    """The name of the file that gets a version, and the room for content of unannounced length. Refuses
    before the first byte is read: a file that may not be written, what the tenant has no room for, as
    far as the request says what it is, and one job too many."""
    if attempt.is_repetition and file_id is None:
        return None, None
    quota = services.uploads.default_quota
    size = announced_content_size(request.headers)
    async with services.database.transaction(caller.access, plans_once=True) as session:
        if not attempt.is_repetition:
            await jobs.require_place(session, services.max_open_jobs)
        if file_id is not None:
            file = await _require_writable(session, file_id)
            newest = await files.newest_version(session, file_id)
            # The same content again makes no version.
            room = None
            if not attempt.is_repetition and newest.size != size:
                standing = await standing_of(session, quota)
                if size is None:
                    room = Room(standing, _always(newest.size))
                else:
                    standing.require_room(uploads.needed_for(size, is_new_file=False))
            return file.name, room
        asked = dict(request.query_params)
        if is_form(request.headers):
            known = _known_bytes(services, caller, fields_of)
            return None, Room(await standing_of(session, quota), known)
        if "password" in asked:
            return None, None
        fields = fields_of(asked)
        collection = await writable_collection(session, fields.collection)
        is_version = fields.on_conflict is OnConflict.VERSION
        announced = uploads.Announced(collection.id, fields.name, size, is_version)
        await uploads.require_room_for(session, announced, quota)
        if size is not None:
            return None, None
        known = _known_bytes(services, caller, fields_of)
        return None, Room(await standing_of(session, quota), known)


def _always(size: int) -> KnownBytes:
    async def known_bytes(_: Mapping[str, str]) -> int:
        return size

    return known_bytes


def _known_bytes(services: Services, caller: Caller, fields_of: FieldsOf) -> KnownBytes:
    """For the name that came; a form whose name comes behind its file is none that is known."""

    async def known_bytes(raw: Mapping[str, str]) -> int:
        if not raw.get("name"):
            return 0
        fields = fields_of({**raw})
        return await longest_known(services, caller, fields.collection, fields.name)

    return known_bytes


async def longest_known(services: Services, caller: Caller, collection: str, name: str) -> int:
    """Bytes of the longest content of that name that the caller may read there; 0 for none. Raises
    Unprocessable where the caller may not put files there."""
    async with services.database.transaction(caller.access) as session:
        found = await writable_collection(session, collection)
        return await uploads.longest_of_name(session, found.id, name)


async def _commit(
    services: Services,
    caller: Caller,
    attempt: Attempt,
    received: Received,
    file_id: UUID | None,
    password: SealedBlob | None,
) -> tuple[Answer, Outcome]:
    async with (
        services.uploads.turns.take(caller.tenant_id),
        services.database.transaction(caller.access, plans_once=True) as session,
    ):
        quota = services.uploads.default_quota
        outcome = await record_upload(session, caller, received, quota, file_id)
        if outcome.job is not None and password is not None:
            await keep_password(session, outcome.job, password)
        detail = outcome.made or await files.get_file(session, outcome.file_id)
        if detail is None:
            raise NotFound("the file was taken out of the caller's sight meanwhile")
        shown = (await file_views(session, caller, services.links, [detail]))[0]
        view = shown.model_copy(update={"deduplicated": outcome.deduplicated or None})
        answer = Answer(
            202 if outcome.job is not None and not outcome.deduplicated else 200,
            view.model_dump(
                mode="json", exclude={"deduplicated"} if not outcome.deduplicated else None
            ),
            f"/v1/files/{outcome.file_id}",
        )
        await attempt.complete(session, answer)
    return answer, outcome


async def record_upload(
    session: AsyncSession,
    caller: Caller,
    received: Received,
    default_quota: Quota,
    file_id: UUID | None = None,
) -> Outcome:
    """Finds what the upload makes: a version of a named file, nothing new, or a new file. The
    transaction's end raises QuotaExceeded where the tenant may not keep what is new."""
    sealed = received.content.sealed
    if sealed is None:
        raise Conflict("the request was repeated while its first answer was given")
    collection = None
    if file_id is None:
        collection = await writable_collection(session, received.fields.collection)
    # The blob's row first, then the file's: all uploads lock in this order.
    blob_id = await uploads.adopt_content(session, caller.tenant_id, sealed)
    if collection is not None:
        # Content that the tenant did not have is in no file.
        if blob_id != sealed.blob_id:
            name = received.fields.name
            same = await uploads.find_same_file(session, collection.id, name, blob_id)
            if same is not None:
                return await _again(session, caller, same, blob_id)
        if received.fields.on_conflict is OnConflict.VERSION:
            file_id = await uploads.find_file_by_name(session, collection.id, received.fields.name)
    if file_id is not None:
        return await _add_version(session, caller, received, file_id, blob_id, default_quota)
    assert collection is not None  # noqa: S101 - one of the two was given
    return await _add_file(session, caller, received, collection, blob_id, default_quota)


async def writable_collection(session: AsyncSession, name_or_id: str) -> Collection:
    """Raises Unprocessable where there is none that the caller may put files into."""
    collection = await collections.find_collection(session, name_or_id, level="write")
    if collection is None:
        detail = "there is no such collection, or you may not put files into it"
        raise Unprocessable(detail, errors=[{"field": "collection", "detail": detail}])
    return collection


async def _require_writable(session: AsyncSession, file_id: UUID) -> File:
    detail = await require_file(session, file_id, "write", for_update=True)
    if detail.file.state in files.OUT_OF_SIGHT:
        raise Conflict(f"the file is {detail.file.state}")
    return detail.file


async def _again(session: AsyncSession, caller: Caller, file_id: UUID, blob_id: UUID) -> Outcome:
    """The same content under the same name: nothing is made, but a failed ingestion runs anew."""
    detail = await files.get_file(session, file_id, for_update=True)
    version = await files.newest_version(session, file_id)
    job = None
    if detail is not None and detail.job is not None and detail.job.state in _FAILED:
        await require_readable_anew(session, file_id)
        job = new_ingestion(caller, version, retry_of=detail.job, priority=detail.job.priority)
        session.add(job)
        _receive_again(detail.file)
    payload: dict[str, JsonValue] = {
        "version": version.number,
        "job_id": str(job.id) if job else None,
    }
    record(session, caller.act("file.uploaded_again", "file", file_id, payload))
    await session.flush()
    return Outcome(file_id, blob_id, job, deduplicated=True)


def _receive_again(file: File) -> None:
    """A file whose ingestion came to nothing waits for the next one; one that is ready stays so."""
    if file.state in (FileState.FAILED, FileState.CANCELLED):
        file.state = FileState.RECEIVED
        file.updated_at = now()
        file.revision += 1


async def _add_version(
    session: AsyncSession,
    caller: Caller,
    received: Received,
    file_id: UUID,
    blob_id: UUID,
    default_quota: Quota,
) -> Outcome:
    file = await _require_writable(session, file_id)
    newest = await files.newest_version(session, file_id)
    if newest.blob_id == blob_id:
        return await _again(session, caller, file_id, blob_id)
    await require_replaceable(session, file_id)
    version = _version(caller, received, file, newest.number + 1, blob_id)
    await uploads.add_version(session, version, default_quota)
    published = await files.get_version(session, file_id, file.current_version)
    if published is None or published.published_at is None:
        # Nobody reads the former version yet: the new one takes its place at once.
        file.current_version = version.number
        file.media_type = version.declared_media_type
    add_metadata(file, received.fields.metadata)
    _receive_again(file)
    file.updated_at = now()
    file.revision += 1
    return await _finish(session, caller, received, file, version)


async def _add_file(
    session: AsyncSession,
    caller: Caller,
    received: Received,
    collection: Collection,
    blob_id: UUID,
    default_quota: Quota,
) -> Outcome:
    file = File(
        id=new_id(),
        tenant_id=caller.tenant_id,
        collection_id=collection.id,
        owner_id=caller.principal_id,
        name=received.fields.name,
        state=FileState.RECEIVED,
        media_type=_declared_type(received),
        attributes=received.fields.metadata,
    )
    version = _version(caller, received, file, 1, blob_id)
    await uploads.add_file(session, file, version, default_quota)
    outcome = await _finish(session, caller, received, file, version)
    if received.content.sealed is None or blob_id != received.content.sealed.blob_id:
        return outcome
    made = FileDetail(file, collection.name, version, Tier.HOT, outcome.job)
    return replace(outcome, made=made)


def _version(
    caller: Caller, received: Received, file: File, number: int, blob_id: UUID
) -> FileVersion:
    return FileVersion(
        id=new_id(),
        tenant_id=caller.tenant_id,
        file_id=file.id,
        number=number,
        blob_id=blob_id,
        name=received.fields.name,
        size=received.content.size,
        sha256=received.content.sha256,
        declared_media_type=_declared_type(received),
    )


async def _finish(
    session: AsyncSession, caller: Caller, received: Received, file: File, version: FileVersion
) -> Outcome:
    job = new_ingestion(caller, version, priority=received.fields.priority)
    session.add(job)
    action = "file.created" if version.number == 1 else "file.version_created"
    payload: dict[str, JsonValue] = {
        "version": version.number,
        "job_id": str(job.id),
        "size": version.size,
    }
    record(session, caller.act(action, "file", file.id, payload))
    await session.flush()
    return Outcome(file.id, version.blob_id, job, deduplicated=False)


def _declared_type(received: Received) -> str:
    """What the client says, else what the name suggests; `inspect` finds out the truth."""
    if received.media_type != UNKNOWN_MEDIA_TYPE:
        return received.media_type
    return media_type_of_name(received.fields.name)


async def drop_duplicate(
    services: Services, caller: Caller, received: Received, outcome: Outcome
) -> None:
    """The tenant had this content: the new blob is not referred to by anything."""
    sealed = received.content.sealed
    if sealed is None or sealed.blob_id == outcome.blob_id:
        return
    try:
        await services.blobs.destroy(caller.tenant_id, sealed.blob_id)
    except MunimentError as error:
        logger.warning("a duplicate blob was left behind", exc_info=error)


async def _discard(services: Services, access: Access, reception: Reception) -> None:
    stored = reception.content.sealed if reception.content else None
    await discard_blob(services, access, stored, "a refused upload's blob was left behind")

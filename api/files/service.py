"""Files: showing, changing, trashing, restoring, erasing, reprocessing."""

import json
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.body_limit import MAX_BODY_BYTES
from api.files.listing import file_views
from api.files.preserved import (
    locks_of,
    require_as_locked,
    require_changeable,
    require_deletable,
)
from api.files.schemas import MAX_METADATA_FIELDS, File, FileChange, FileVersion, ReprocessBody
from api.files.view import entity_tag, version_view
from api.jobs.making import new_ingestion, origin_of
from api.jobs.view import WorkflowLinks
from api.levels import lacks_level
from api.pagination import NumberCursor, Page, cut, encode_cursor
from api.preconditions import require_match
from api.services import Services
from db.audit import record
from db.erasures import order_erasures
from db.models import File as FileRecord
from db.models import FileVersion as VersionRecord
from db.models import Job, now
from db.queries import collections, files, members
from db.queries.files import FileDetail
from muniment.contracts.jobs import FileState, JobSettings, JobState
from muniment.errors import Conflict, Gone, NotFound, Unprocessable

READ = "read"
_TO_BE_ERASED = (FileState.RESTRICTED, FileState.ERASING, FileState.ERASED)


async def require_file(
    session: AsyncSession, file_id: UUID, level: str = READ, *, for_update: bool = False
) -> FileDetail:
    """The file, if the caller has the level on it. Raises Forbidden where it may read it and no more,
    else NotFound, whatever the reason."""
    detail = await files.get_file(session, file_id, level=level, for_update=for_update)
    if detail is not None:
        return detail
    if level != READ and await files.is_visible(session, file_id):
        raise lacks_level(level, "file")
    raise NotFound("there is no such file")


async def require_version(
    session: AsyncSession, detail: FileDetail, number: int | None
) -> VersionRecord:
    """The version of that number, or the one that readers see."""
    if number is None and detail.version is not None:
        return detail.version
    version = await files.get_version(
        session, detail.file.id, number or detail.file.current_version
    )
    if version is None:
        raise NotFound("the file has no such version")
    return version


async def show(
    session: AsyncSession, caller: Caller, links: WorkflowLinks, detail: FileDetail
) -> File:
    return (await file_views(session, caller, links, [detail]))[0]


async def change(
    session: AsyncSession, caller: Caller, if_match: str | None, file_id: UUID, body: FileChange
) -> FileDetail:
    detail = await require_file(session, file_id, "write", for_update=True)
    require_match(if_match, entity_tag(detail.file))
    if detail.file.state in files.OUT_OF_SIGHT:
        raise Conflict(f"the file is {detail.file.state}")
    await require_changeable(session, [file_id])
    locks = await locks_of(session, file_id)
    file, changed = detail.file, set(body.model_fields_set)
    former_name, former_collection = file.name, file.collection_id
    if body.name is not None:
        file.name = body.name
    if body.labels is not None:
        file.labels = list(dict.fromkeys(body.labels))
    if body.metadata is not None:
        add_metadata(file, body.metadata)
    if body.collection is not None:
        await _move(session, file, body.collection)
    if file.name == former_name:
        changed.discard("name")
    if file.collection_id == former_collection:
        changed.discard("collection")
    _touch(file)
    record(session, caller.act("file.changed", "file", file_id, {"fields": [*sorted(changed)]}))
    await session.flush()
    await require_as_locked(session, caller, file_id, locks)
    return await require_file(session, file_id)


def add_metadata(file: FileRecord, patch: dict[str, JsonValue]) -> None:
    """Merges (RFC 7396) into what the file has. Raises Unprocessable where that is too much."""
    file.attributes = _bounded(file.attributes, merged(file.attributes, patch))


def merged(present: dict[str, JsonValue], patch: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """JSON merge patch (RFC 7396): objects merge, null removes, all else replaces."""
    result = dict(present)
    for name, value in patch.items():
        former = result.get(name)
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict):
            result[name] = merged(former if isinstance(former, dict) else {}, value)
        else:
            result[name] = value
    return result


def _bounded(present: dict[str, JsonValue], changed: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Many small changes come to no more than one may bring; what is over it already may shrink."""
    detail = None
    if len(changed) > max(MAX_METADATA_FIELDS, len(present)):
        detail = f"a file has at most {MAX_METADATA_FIELDS} metadata fields"
    elif _json_bytes(changed) > max(MAX_BODY_BYTES, _json_bytes(present)):
        detail = f"a file's metadata are at most {MAX_BODY_BYTES} bytes of JSON"
    if detail is not None:
        raise Unprocessable(detail, errors=[{"field": "metadata", "detail": detail}])
    return changed


def _json_bytes(metadata: dict[str, JsonValue]) -> int:
    return len(json.dumps(metadata, ensure_ascii=False, separators=(",", ":")).encode())


async def _move(session: AsyncSession, file: FileRecord, name_or_id: str) -> None:
    """Who else may read the file changes with its collection: that is for whoever manages it."""
    former_id, wanted_id = file.collection_id, await _collection_id(session, name_or_id)
    if former_id is None:
        raise Conflict(f"the file is {file.state}")
    if wanted_id != former_id:
        await require_file(session, file.id, "manage")
        await _require_same_text_mode(session, former_id, wanted_id)
        file.collection_id = wanted_id


async def _require_same_text_mode(session: AsyncSession, present_id: UUID, wanted_id: UUID) -> None:
    """What was once in the clear stays so for a while in the database's files and its log: what is to
    be sealed is sealed from its first day."""
    present = await collections.text_mode_of(session, present_id)
    wanted = await collections.text_mode_of(session, wanted_id)
    if present is not wanted:
        raise Conflict(
            f"the collection keeps text as `{wanted}`, and the file's is kept as `{present}`",
            remedy="Upload the file to that collection, and erase this one.",
        )


async def _collection_id(session: AsyncSession, name_or_id: str) -> UUID:
    found = await collections.find_collection(session, name_or_id, level="write")
    if found is None:
        detail = "there is no such collection, or you may not put files into it"
        raise Unprocessable(detail, errors=[{"field": "collection", "detail": detail}])
    return found.id


async def trash(session: AsyncSession, caller: Caller, file_id: UUID) -> FileDetail:
    """Out of sight and search with this commit, and all that came out of it; trashing what is in
    the trash changes nothing."""
    detail = await require_file(session, file_id, "write", for_update=True)
    file = detail.file
    if file.state in (FileState.ERASING, FileState.ERASED):
        raise Gone("the file was erased")
    if file.state == FileState.RESTRICTED:
        raise Conflict("the file is to be erased")
    if file.state != FileState.TRASHED:
        moment = now()
        descendants = await members.lock_descendants(session, file_id, "write")
        await require_deletable(session, [file_id, *(each.id for each in descendants)])
        _trash(file, moment)
        for member in descendants:
            if member.state not in files.OUT_OF_SIGHT:
                _trash(member, moment)
                record(session, caller.act("file.trashed", "file", member.id))
    record(session, caller.act("file.trashed", "file", file_id))
    await session.flush()
    return detail


async def restore(session: AsyncSession, caller: Caller, file_id: UUID) -> FileDetail:
    detail = await require_file(session, file_id, "write", for_update=True)
    file = detail.file
    if file.state != FileState.TRASHED:
        raise Conflict(f"the file is {file.state}, not in the trash")
    moment = file.trashed_at
    _restore(file)
    for member in await members.lock_descendants(session, file_id, "write"):
        # Those that were trashed before on their own stay where they are.
        if member.state == FileState.TRASHED and member.trashed_at == moment:
            _restore(member)
            record(session, caller.act("file.restored", "file", member.id))
    record(session, caller.act("file.restored", "file", file_id))
    await session.flush()
    return detail


async def add_erasure(session: AsyncSession, caller: Caller, file_id: UUID) -> Job:
    """Marks the file as erasing and commits the job that erases every version of it; all that came
    out of the file goes with it, each by a job of its own."""
    detail = await require_file(session, file_id, "manage", for_update=True)
    if detail.file.state == FileState.ERASED:
        raise Gone("the file was erased")
    if detail.file.state in _TO_BE_ERASED:
        raise Conflict("the file is being erased")
    descendants = await members.lock_descendants(session, file_id, "manage")
    await require_deletable(session, [file_id, *(each.id for each in descendants)])
    wanted = [detail.file, *descendants]
    ordered = await order_erasures(session, origin_of(caller), caller, wanted, frozenset())
    return ordered[0][0]


async def add_reprocessing(
    session: AsyncSession, caller: Caller, file_id: UUID, wanted: ReprocessBody
) -> Job:
    """A new ingestion of the newest version; what did not change is found by its fingerprint."""
    detail = await require_file(session, file_id, "write", for_update=True)
    if detail.file.state in files.OUT_OF_SIGHT:
        raise Conflict(f"the file is {detail.file.state}")
    if detail.job is not None and not JobState(detail.job.state).is_terminal:
        raise Conflict("another job is at work on the file")
    await require_changeable(session, [file_id])
    version = await files.newest_version(session, file_id)
    settings = JobSettings(**wanted.settings.model_dump())
    job = new_ingestion(caller, version, first=False, priority=wanted.priority, settings=settings)
    session.add(job)
    if detail.file.state in (FileState.FAILED, FileState.CANCELLED):
        detail.file.state = FileState.RECEIVED
        _touch(detail.file)
    payload: dict[str, JsonValue] = {"job_id": str(job.id), "settings": job.settings}
    record(session, caller.act("file.reprocessed", "file", file_id, payload))
    await session.flush()
    return job


async def list_versions(
    services: Services, caller: Caller, file_id: UUID, limit: int, place: NumberCursor | None
) -> Page[FileVersion]:
    async with services.database.transaction(caller.access) as session:
        detail = await require_file(session, file_id)
        rows = await files.list_versions(
            session, file_id, limit=limit + 1, before_number=place.number if place else None
        )
    shown, last = cut(rows, limit)
    following = None if last is None else encode_cursor(NumberCursor(number=last.number))
    return Page(data=[version_view(detail, each) for each in shown], next_cursor=following)


def _trash(file: FileRecord, moment: datetime) -> None:
    file.trashed_from, file.state, file.trashed_at = file.state, FileState.TRASHED, moment
    _touch(file)


def _restore(file: FileRecord) -> None:
    file.state, file.trashed_from = file.trashed_from or FileState.RECEIVED, None
    file.trashed_at = None
    _touch(file)


def _touch(file: FileRecord) -> None:
    file.revision += 1
    file.updated_at = now()

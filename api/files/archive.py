"""`POST /v1/files/archive`: many files as one ZIP archive."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.authentication import Caller
from api.files.content import original
from api.files.disposition import attachment
from api.files.scan_policy import ScanPolicy
from api.files.schemas import ArchivedFile, NewArchive
from api.files.zipping import Entry, zipped
from api.sending import Download, continued
from api.services import Services
from db.audit import record
from db.models import FileVersion
from db.queries import files
from db.queries.files import FileDetail
from db.queries.tiers import cold_among, note_access
from muniment.errors import (
    ContentInRetrieval,
    NotFound,
    ObjectStoreUnavailable,
    RequestError,
    Unprocessable,
    WrongField,
)
from muniment.objects import BlobStore
from muniment.task_group import of_each

MEDIA_TYPE = "application/zip"
_SUFFIX = ".zip"
_ASKED_AT_ONCE = 16
_ASKED_SECONDS = 60.0
"""How long the cold store may take to say of all files whether they can be read; who asks for an archive
waits meanwhile, and keeps others from theirs."""
_MOST_NAMED = 50
"""Files that a refusal names; whoever asked for more strangers than these asks again."""


async def download_archive(caller: Caller, services: Services, wanted: NewArchive) -> Response:
    """The response, once all files were found readable and the first piece is there.

    Raises NotFound, Conflict, Gone and Unprocessable, naming the places in the list;
    TooManyRequests; and what reading the store raises.
    """
    body = _archived(caller, services, wanted.files)
    try:
        first = await anext(body)
    except BaseException:
        await body.aclose()
        raise
    name = wanted.name if wanted.name.lower().endswith(_SUFFIX) else wanted.name + _SUFFIX
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Disposition": attachment(name),
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cache-Control": "private, no-store",
    }
    return Download(continued(first, body), 200, headers)


async def _archived(
    caller: Caller, services: Services, wanted: Sequence[ArchivedFile]
) -> AsyncGenerator[bytes, None]:
    """The archive, one of a bounded number at a time from the first look-up to the last byte."""
    limits = services.archives
    with limits.slots.take():
        if len(wanted) > limits.max_files:
            raise Unprocessable(
                f"an archive holds at most {limits.max_files} files",
                remedy="Ask for several archives.",
                errors=[{"field": "files", "detail": f"at most {limits.max_files}"}],
            )
        async with services.database.transaction(caller.access) as session:
            entries = await _entries(session, caller, services.scans, wanted)
            cold = await cold_among(session, [entry.sealed.blob_id for entry in entries])
            if not cold:
                _record_downloads(session, caller, entries)
        if cold:
            await _require_readable(services.blobs, caller, cold)
            async with services.database.transaction(caller.access) as session:
                _record_downloads(session, caller, entries)
        async with aclosing(zipped(services.blobs, entries)) as pieces:
            async for piece in pieces:
                yield piece


async def _require_readable(blobs: BlobStore, caller: Caller, blob_ids: Sequence[UUID]) -> None:
    """Raises ContentInRetrieval before anything is sent. All that is archived is asked for together: one
    after the other it would take days. ObjectStoreUnavailable where the store takes too long to say."""
    waiting = 0

    async def ask(blob_id: UUID) -> None:
        nonlocal waiting
        try:
            await blobs.require_readable(caller.tenant_id, blob_id)
        except ContentInRetrieval:
            waiting += 1

    try:
        async with asyncio.timeout(_ASKED_SECONDS):
            await of_each(blob_ids, ask, _ASKED_AT_ONCE)
    except TimeoutError:
        if not waiting:
            raise ObjectStoreUnavailable("the cold store does not answer in time") from None
    if waiting:
        raise ContentInRetrieval(f"the content of {waiting} files lies in an archive")


async def _entries(
    session: AsyncSession, caller: Caller, policy: ScanPolicy, wanted: Sequence[ArchivedFile]
) -> list[Entry]:
    """Where each file lies, if the caller may download every one of them."""
    places = {(each.id, each.version): place for place, each in reversed([*enumerate(wanted)])}
    asked = sorted(places.items(), key=lambda item: item[1])
    details = await files.get_files(session, {file_id for (file_id, _), _ in asked})
    unseen = [place for (file_id, _), place in asked if file_id not in details]
    if unseen:
        raise NotFound(
            "there is no such file", errors=_named(unseen, "id", "there is no such file")
        )
    versions = await files.get_versions(
        session, {(file_id, _number(details[file_id], number)) for (file_id, number), _ in asked}
    )
    entries = []
    for (file_id, number), place in asked:
        detail = details[file_id]
        with _telling(place):
            entries.append(await _entry(session, caller, policy, detail, versions, number))
    blob_ids = [entry.sealed.blob_id for entry in entries]
    await note_access(session, blob_ids, [*details])
    return entries


async def _entry(
    session: AsyncSession,
    caller: Caller,
    policy: ScanPolicy,
    detail: FileDetail,
    versions: dict[tuple[UUID, int], FileVersion],
    number: int | None,
) -> Entry:
    version = versions.get((detail.file.id, _number(detail, number)))
    if version is None:
        raise NotFound("the file has no such version")
    sealed = await original(session, caller, policy, detail, version, number)
    return Entry(sealed, version.created_at, detail.file.id, version.number)


def _record_downloads(session: AsyncSession, caller: Caller, entries: Sequence[Entry]) -> None:
    """As as many single downloads: once nothing has to be retrieved before anything is sent."""
    for entry in entries:
        payload: dict[str, JsonValue] = {"version": entry.version, "archived": True}
        record(session, caller.act("file.downloaded", "file", entry.file_id, payload))


def _number(detail: FileDetail, number: int | None) -> int:
    return detail.file.current_version if number is None else number


@contextmanager
def _telling(place: int) -> Iterator[None]:
    """Adds to a refusal which file of the list it is about."""
    try:
        yield
    except RequestError as error:
        named = _named([place], "id", error.detail)
        raise type(error)(error.detail, remedy=error.remedy, errors=named) from None


def _named(places: Sequence[int], field: str, detail: str) -> list[WrongField]:
    return [{"field": f"files.{place}.{field}", "detail": detail} for place in places[:_MOST_NAMED]]

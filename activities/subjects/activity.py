"""Temporal's face of requests of people about what there is of them."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.exceptions import FailureError

from activities.failures import application_error, owed
from activities.heartbeats import heartbeats
from activities.subjects.archive import SubjectArchive
from activities.subjects.finding import SubjectSearch
from db.audit import Act, record
from db.models import SubjectRequest, now
from db.queries import (
    blobs,
    subject_erasures,
    subject_exports,
    subject_requests,
    subject_search,
)
from db.session import Access, Database
from muniment.contracts.erase_file import ErasureState
from muniment.contracts.subject_requests import (
    EndSubjectInput,
    ItemState,
    SubjectIdentity,
    SubjectRequestActivities,
    SubjectRequestInput,
    SubjectStanding,
    SubjectState,
)
from muniment.errors import (
    Conflict,
    DatabaseUnavailable,
    KeyDestroyed,
    MunimentError,
    ObjectMissing,
    Unprocessable,
)
from muniment.objects import BlobStore, SealedBlob, SealedText, SealedTexts
from muniment.objects.sealed_texts import subject_place
from muniment.sealing import KeyManagement

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""No further page is begun after so long: other tenants take turns with this one."""
FILES_AT_ONCE = 50
MAX_FOUND = 10_000
"""Files that a person can be asked to confirm, and that an archive has."""
MAX_EXPORT_BYTES = 64 * 1024**3
ORDERED_AT_ONCE = 50
DECISION_LOOK = timedelta(days=1)
"""Whoever decides wakes the workflow; this is for a word that was lost."""
ERASING_LOOK_SECONDS = 15.0
HELD_LOOK_SECONDS = 6 * 3600.0


class SubjectRequests(SubjectRequestActivities):
    """Sees every file of the tenant, whoever may read it."""

    def __init__(
        self, database: Database, blob_store: BlobStore, texts: SealedTexts, keys: KeyManagement
    ) -> None:
        self._database = database
        self._blobs = blob_store
        self._texts = texts
        self._keys = keys

    @activity.defn(name="find_subject")
    async def find_subject(self, request: SubjectRequestInput) -> SubjectStanding:
        async with _attempt(), heartbeats():
            found = await self._row(request)
            if found is None or found.state != SubjectState.FINDING:
                return await self._standing(request)
            identity = await self._identity(found)
            search = SubjectSearch(
                self._database, self._texts, self._keys, found.tenant_id, identity.identifiers
            )
            until = time.monotonic() + LOOK_SECONDS
            while await self._looked_on(request, search) and time.monotonic() < until:
                pass
            return await self._standing(request)

    async def _looked_on(self, request: SubjectRequestInput, search: SubjectSearch) -> bool:
        """Through a page of files; whether there may be more."""
        found = await self._row(request)
        if found is None or found.state != SubjectState.FINDING:
            return False
        after = None
        if found.after_at is not None and found.after_id is not None:
            after = found.after_at, found.after_id
        async with self._database.transaction(Access(request.tenant_id)) as session:
            files = await subject_search.next_files(session, after, FILES_AT_ONCE)
        named = await search.look(files)
        async with self._database.transaction(Access(request.tenant_id)) as session:
            row = await subject_requests.get_request(session, request.request_id, for_update=True)
            # Another attempt came so far meanwhile: it has written what this one found.
            if row is None or row.state != SubjectState.FINDING or row.after_id != found.after_id:
                return True
            if not files:
                await self._await_decision(session, row)
                return False
            reached = files[-1].created_at, files[-1].id
            await subject_search.keep_found(session, row, named, reached, len(files))
            if await subject_search.count_found(session, row.id) > MAX_FOUND:
                raise Unprocessable(
                    f"more than {MAX_FOUND} files name the person",
                    remedy="Ask again with identifiers that say more.",
                )
        return True

    async def _await_decision(self, session: AsyncSession, row: SubjectRequest) -> None:
        row.state = SubjectState.WAITING.value
        files = await subject_search.count_found(session, row.id)
        told: dict[str, JsonValue] = {"files": files, "looked_at": row.looked_at}
        record(session, _act(row, "subject_request.found", told))

    @activity.defn(name="attend_subject_request")
    async def attend_subject_request(self, request: SubjectRequestInput) -> SubjectStanding:
        async with _attempt():
            async with self._database.transaction(Access(request.tenant_id)) as session:
                row = await subject_requests.get_request(
                    session, request.request_id, for_update=True
                )
                is_waiting = row is not None and row.state == SubjectState.WAITING
                if row is not None and is_waiting and row.expires_at <= now():
                    _end(row, SubjectState.EXPIRED)
                    record(session, _act(row, "subject_request.ended", {"state": row.state}))
            return await self._standing(request)

    @activity.defn(name="export_subject")
    async def export_subject(self, request: SubjectRequestInput) -> SubjectStanding:
        async with _attempt(), heartbeats():
            found = await self._row(request)
            if found is not None and found.state == SubjectState.EXPORTING:
                await self._require_storable(found)
                await self._export(found)
            return await self._standing(request)

    async def _require_storable(self, found: SubjectRequest) -> None:
        async with self._database.transaction(Access(found.tenant_id)) as session:
            size = await subject_exports.confirmed_bytes(session, found.id)
        if size > MAX_EXPORT_BYTES:
            raise Unprocessable(
                f"what was confirmed takes more than {MAX_EXPORT_BYTES} bytes",
                remedy="Ask again, and exclude what is not the person's.",
            )

    async def _export(self, found: SubjectRequest) -> None:
        archive = SubjectArchive(self._database, self._blobs, self._texts, found)
        try:
            made = await self._blobs.put(found.tenant_id, archive.pieces())
        except (KeyDestroyed, ObjectMissing) as error:
            # A file was erased meanwhile: the next attempt leaves it out.
            raise owed(error) from error
        kept = False
        try:
            async with self._database.transaction(Access(found.tenant_id)) as session:
                row = await subject_requests.get_request(session, found.id, for_update=True)
                if row is not None and row.state == SubjectState.EXPORTING:
                    kept = await subject_exports.keep_export(session, row, made, archive.file_ids)
                    if not kept:
                        raise owed(Conflict("a file is to be erased since the archive was begun"))
                    told: dict[str, JsonValue] = {
                        "state": row.state,
                        "files": len(archive.file_ids),
                        "size": made.size,
                    }
                    record(session, _act(row, "subject_request.ended", told))
        finally:
            await self._discard_unknown(found.tenant_id, made)

    async def _discard_unknown(self, tenant_id: UUID, made: SealedBlob) -> None:
        """The archive, unless its row was committed; where nobody can say, the sweep finds it."""
        try:
            async with self._database.transaction(Access(tenant_id)) as session:
                known = await blobs.is_known(session, made.blob_id)
            if not known:
                await self._blobs.destroy(tenant_id, made.blob_id)
        except DatabaseUnavailable:
            logger.warning("an archive was left behind", extra={"blob_id": str(made.blob_id)})

    @activity.defn(name="erase_subject")
    async def erase_subject(self, request: SubjectRequestInput) -> SubjectStanding:
        async with _attempt(), heartbeats():
            found = await self._row(request)
            if found is None or found.state != SubjectState.ERASING:
                return await self._standing(request)
            async with self._database.transaction(Access(request.tenant_id)) as session:
                items = await subject_requests.items_in(
                    session, found.id, ItemState.FOUND, limit=ORDERED_AT_ONCE
                )
            for item in items:
                # Each by itself: a hold that is being placed waits for no more than one.
                async with self._database.transaction(Access(request.tenant_id)) as session:
                    await subject_erasures.order_erasure(session, found, item.file_id)
            async with self._database.transaction(Access(request.tenant_id)) as session:
                wait_seconds = await self._settle(session, request, bool(items))
            standing = await self._standing(request)
            return standing.model_copy(update={"wait_seconds": wait_seconds})

    async def _settle(
        self, session: AsyncSession, request: SubjectRequestInput, has_more: bool
    ) -> float:
        """How long until it is worth to look again; the request ends where nothing is open."""
        row = await subject_requests.get_request(session, request.request_id, for_update=True)
        if row is None or row.state != SubjectState.ERASING or has_more:
            return 0.0
        await subject_erasures.settle(session, row.id)
        open_states = await subject_erasures.open_states(session, row.id)
        if open_states:
            only_held = open_states == {ErasureState.HELD}
            return HELD_LOOK_SECONDS if only_held else ERASING_LOOK_SECONDS
        row.certificates_sha256 = await subject_erasures.certificates_digest(session, row.id)
        _end(row, SubjectState.COMPLETED)
        counts = (await subject_requests.counts_of(session, [row.id]))[row.id]
        told: dict[str, JsonValue] = {
            "state": row.state,
            **counts,
            "certificates_sha256": row.certificates_sha256.hex(),
        }
        record(session, _act(row, "subject_request.ended", told))
        return 0.0

    @activity.defn(name="end_subject_request")
    async def end_subject_request(self, end: EndSubjectInput) -> None:
        request = end.request
        async with _attempt(), self._database.transaction(Access(request.tenant_id)) as session:
            row = await subject_requests.get_request(session, request.request_id, for_update=True)
            if row is None or row.finished_at is not None:
                return
            row.failure = end.reason
            _end(row, SubjectState.FAILED)
            record(session, _act(row, "subject_request.ended", {"state": row.state}))

    async def _row(self, request: SubjectRequestInput) -> SubjectRequest | None:
        async with self._database.transaction(Access(request.tenant_id)) as session:
            return await subject_requests.get_request(session, request.request_id)

    async def _standing(self, request: SubjectRequestInput) -> SubjectStanding:
        async with self._database.transaction(Access(request.tenant_id)) as session:
            row = await subject_requests.get_request(session, request.request_id)
            if row is None:
                return SubjectStanding(state=SubjectState.FAILED)
            found = await subject_search.count_found(session, row.id)
        wait = min(row.expires_at - now(), DECISION_LOOK).total_seconds()
        return SubjectStanding(
            state=SubjectState(row.state),
            looked_at=row.looked_at,
            found=found,
            wait_seconds=max(wait, 1.0),
        )

    async def _identity(self, found: SubjectRequest) -> SubjectIdentity:
        """Raises KeyDestroyed where its time is over."""
        if found.text_key_id is None or found.subject is None:
            raise KeyDestroyed("who the person is was forgotten: the request has expired")
        place = subject_place(found.tenant_id, found.id)
        sealed = SealedText(found.tenant_id, found.text_key_id, place, found.subject)
        (identity,) = await self._texts.opened([sealed], SubjectIdentity)
        return identity


def _end(row: SubjectRequest, state: SubjectState) -> None:
    """Who the person is is forgotten some days after."""
    row.state, row.finished_at = state.value, now()
    row.expires_at = min(row.expires_at, row.finished_at + timedelta(days=row.keep_days))


def _act(row: SubjectRequest, action: str, payload: dict[str, JsonValue]) -> Act:
    return Act(action, "subject_request", row.id, row.tenant_id, payload=payload)


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except FailureError:
        raise
    except Exception as error:
        if not isinstance(error, MunimentError):
            logger.exception("a subject request failed unexpectedly")
        raise application_error(error, activity.info().attempt) from error

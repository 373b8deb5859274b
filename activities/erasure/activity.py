"""Temporal's face of the erasure of a file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.erasure.ledger import ErasureLedger
from activities.erasure.statement import payload_of
from activities.erasure.stores import STORES, ErasableStore, store_named
from activities.failures import file_held, owed
from activities.heartbeats import heartbeats
from activities.job_ends import count_end
from activities.lexical_index.turn import in_turn
from activities.stage import stage_event
from db.audit import Act, record
from db.models import now
from db.queries import erasure, erasure_records
from db.queries.jobs import lock_job, write_job
from db.queries.legal_holds import emit
from db.queries.preservation import standing_preservations
from db.queries.preservation_kinds import GuardedAct, Preservation
from db.session import Access, Database
from muniment.contracts.erase_file import (
    EraseFileInput,
    EraseFileResult,
    ErasureActivities,
    ErasurePlan,
    ErasureStep,
    HeldErasure,
)
from muniment.contracts.jobs import JobEventKind, JobState
from muniment.contracts.move_tier import Tier
from muniment.erasure_certificates import ACTION, content_tag, opening_digest
from muniment.errors import (
    ConfigurationError,
    KeyDestroyed,
    MunimentError,
    ObjectStoreUnavailable,
)
from muniment.objects import BlobStore, BlobTiers
from muniment.sealing import KeyManagement


class Erasure(ErasureActivities):
    """`tiers`: where the installation has a cold store. `backup_days`: how long its backups are kept, where
    that is known. `keys`: what certificates commit to contents by; without them they do not."""

    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        ledger: ErasureLedger,
        tiers: BlobTiers | None = None,
        backup_days: int | None = None,
        keys: KeyManagement | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._ledger = ledger
        self._tiers = tiers
        self._backup_days = backup_days
        self._keys = keys

    @activity.defn(name="plan_erasure")
    async def plan_erasure(self, request: EraseFileInput) -> ErasurePlan:
        async with self._attempt(request) as session:
            # Jobs first, then the file: everyone locks in this order.
            await _require_unkept(session, request)
            await _end_ingestions(session, request, unstarted_only=True)
            await _write_state(session, request, JobState.RUNNING)
            await erasure.begin_erasure(session, request)
            running = await erasure.running_ingestions(session, request.file_id)
            contents = await erasure_records.contents_to_tag(session, request)
        await self._tag(request, contents)
        return ErasurePlan(
            stores=tuple(store.name for store in STORES), running_workflow_ids=running
        )

    @activity.defn(name="erase_from_store")
    async def erase_from_store(self, step: ErasureStep) -> None:
        async with self._attempt(step.request) as session:
            await _require_unkept(session, step.request)
            store = store_named(step.store)
            if store is None:
                raise ConfigurationError(f"No store is called {step.store}.")
            # One that did not end in its time may still be at work somewhere. Its job is over
            # here, and so whatever it would keep is refused: nothing comes back behind the erasure.
            await _end_ingestions(session, step.request)
            if not store.can_be_rebuilt:
                # The point of no return: with this commit nothing stops the erasure any more.
                await erasure_records.begin_destroying(session, step.request)
            await store.erase(session, step.request.file_id)
        await self._erase_rest(step.request, store)

    @activity.defn(name="destroy_unreferenced_keys")
    async def destroy_unreferenced_keys(self, request: EraseFileInput) -> EraseFileResult:
        async with self._attempt(request) as session:
            await _require_unkept(session, request)
            await erasure_records.begin_destroying(session, request)
            await erasure.condemn_unshared_blobs(session, request)
            condemned = await erasure.condemned_blobs(session, request.file_id)
            parts = await erasure.upload_parts(session, request.file_id)
        # Asked twice: what is deleted from an empty folder, where the store should be, lives on there.
        was_away = await self._cold_store_is_away()
        await self._destroy(request, [*condemned, *parts])
        is_away = was_away or await self._cold_store_is_away()
        async with self._attempt(request) as session:
            if is_away:
                await erasure.note_left_in_cold_store(session, request)
            await erasure.forget_uploads(session, request.file_id)
            counts = await erasure.forget_condemned(session, request, condemned)
        return EraseFileResult(
            keys_destroyed=counts.keys_destroyed,
            blobs_kept=counts.blobs_kept,
            ciphertexts_left=counts.ciphertexts_left,
        )

    @activity.defn(name="hold_erasure")
    async def hold_erasure(self, request: EraseFileInput) -> HeldErasure:
        async with self._attempt(request) as session:
            kept = await standing_preservations(session, [request.file_id], GuardedAct.DELETION)
            is_held = request.file_id in kept
            if is_held and await erasure_records.restrict(session, request):
                await _write_state(session, request, JobState.WAITING)
                await _record_held(session, request, kept[request.file_id])
        return HeldErasure(is_held=is_held)

    @activity.defn(name="finish_erasure")
    async def finish_erasure(self, request: EraseFileInput) -> None:
        async with self._attempt(request) as session:
            await self._ledger.append(request.tenant_id, request.file_id, [None])
            finished = await erasure.finish_erasure(session, request)
            if finished is None:
                return
            await _write_state(session, request, JobState.COMPLETED)
            await emit(session, request.tenant_id, "erasure.completed", _ids(request))
            record(
                session,
                Act(
                    action=ACTION,
                    object_type="file",
                    object_id=request.file_id,
                    tenant_id=request.tenant_id,
                    payload=payload_of(request, finished, self._backup_days),
                ),
            )

    async def _tag(self, request: EraseFileInput, contents: Sequence[bytes]) -> None:
        """Notes keyed hashes of what the file contains, for the certificate: while that is still known."""
        if not contents or self._keys is None:
            return
        try:
            async with heartbeats():
                tags = [await _tag_of(self._keys, request, sha256) for sha256 in contents]
        except KeyDestroyed:
            # All of the tenant's keys are gone: nobody could open such a hash any more.
            return
        except MunimentError as error:
            raise owed(error) from error
        async with self._attempt(request) as session:
            await erasure_records.note_contents(session, request, tags)

    async def _erase_rest(self, request: EraseFileInput, store: ErasableStore) -> None:
        part = partial(store.erase_rest, file_id=request.file_id)
        try:
            async with heartbeats():
                while await in_turn(self._database, Access(request.tenant_id), part):
                    pass
        except MunimentError as error:
            raise owed(error) from error

    async def _cold_store_is_away(self) -> bool:
        """Whether what lies at its place is not the cold store: nothing there is deleted then."""
        if self._tiers is None:
            return False
        try:
            await self._tiers.require_mark(Tier.COLD)
        except ObjectStoreUnavailable:
            return True
        return False

    async def _destroy(self, request: EraseFileInput, blob_ids: Sequence[UUID]) -> None:
        """The ledger first: what it names and what lives on after a crash is destroyed again."""
        try:
            async with heartbeats():
                await self._ledger.append(request.tenant_id, request.file_id, blob_ids)
                # All keys first: a store that is away keeps ciphertexts, and no content.
                for blob_id in blob_ids:
                    await self._blobs.destroy_key(request.tenant_id, blob_id)
                for blob_id in blob_ids:
                    await self._blobs.destroy(request.tenant_id, blob_id)
        except MunimentError as error:
            raise owed(error) from error

    @asynccontextmanager
    async def _attempt(self, request: EraseFileInput) -> AsyncIterator[AsyncSession]:
        """One transaction of the tenant, with heartbeats; errors become Temporal's."""
        try:
            async with (
                heartbeats(),
                self._database.transaction(Access(request.tenant_id)) as session,
            ):
                yield session
        except MunimentError as error:
            raise owed(error) from error


async def _tag_of(keys: KeyManagement, request: EraseFileInput, sha256: bytes) -> bytes:
    digest = opening_digest(request.file_id, sha256)
    return content_tag(await keys.dedup_tag(request.tenant_id, digest), sha256)


async def _require_unkept(session: AsyncSession, request: EraseFileInput) -> None:
    """Before anything is locked. Past the point of no return nothing keeps the file any more."""
    kept = await standing_preservations(session, [request.file_id], GuardedAct.DELETION)
    if request.file_id in kept and not await erasure_records.is_past_return(
        session, request.file_id
    ):
        raise file_held()


async def _record_held(
    session: AsyncSession, request: EraseFileInput, kept: Sequence[Preservation]
) -> None:
    references: list[JsonValue] = [str(each.reference) for each in kept]
    record(
        session,
        Act(
            action="file.erasure_held",
            object_type="file",
            object_id=request.file_id,
            tenant_id=request.tenant_id,
            payload={"job_id": str(request.job_id), "kept_by": references},
        ),
    )
    await emit(session, request.tenant_id, "erasure.held", _ids(request))


def _ids(request: EraseFileInput) -> dict[str, str]:
    return {"file_id": str(request.file_id), "job_id": str(request.job_id)}


async def _end_ingestions(
    session: AsyncSession, request: EraseFileInput, *, unstarted_only: bool = False
) -> None:
    """Ends the file's ingestions, or those that Temporal never took."""
    for job_id in await erasure.open_ingestions(
        session, request.file_id, unstarted_only=unstarted_only
    ):
        job = await lock_job(session, job_id)
        if job is not None and job.finished_at is None:
            job, abandoned = job.abandoned()
            ended = replace(job, state=JobState.CANCELLED, finished_at=now())
            events = [stage_event(stage) for stage in abandoned]
            events += [ended.event(JobEventKind.STATE), ended.event(JobEventKind.END)]
            await write_job(session, ended, events)
            count_end(session, ended)


async def _write_state(session: AsyncSession, request: EraseFileInput, state: JobState) -> None:
    job = await lock_job(session, request.job_id)
    if job is None or job.finished_at is not None or job.state is state:
        return
    is_over = state.is_terminal
    job = replace(
        job,
        state=state,
        percent=100.0 if is_over else job.percent,
        finished_at=now() if is_over else None,
    )
    events = [job.event(JobEventKind.STATE)]
    if is_over:
        events.append(job.event(JobEventKind.END))
    await write_job(session, job, events, activity.info().workflow_run_id)
    if is_over:
        count_end(session, job)

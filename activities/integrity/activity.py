"""Temporal's face of the verification of what is stored."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.integrity.examine import MISSING, Examiner
from activities.pace import Pace
from activities.running import is_running
from db.audit import Act, record
from db.models import IntegrityRun, new_id
from db.queries import integrity
from db.queries.integrity import DueBlob, Findings, Recorded
from db.session import Access, Database
from muniment.contracts.move_tier import Tier
from muniment.contracts.verify_integrity import (
    EndVerificationInput,
    FaultKind,
    IntegrityActivities,
    VerificationBegun,
    VerifyBatchInput,
    VerifyBatchResult,
    VerifyIntegrityInput,
)
from muniment.errors import MunimentError, ObjectStoreUnavailable
from muniment.objects import BlobStore, BlobTiers
from muniment.task_group import task_group
from muniment.telemetry.metrics import integrity_blobs_total, integrity_bytes_total

logger = logging.getLogger(__name__)

BATCH_BLOBS = 100
BATCH_BYTES = 256 * 1024**2
"""A dead worker's batch is read again: a quarter of a minute at the pace that is set by default."""
IN_FLIGHT = 4
"""Blobs of a batch that are read at once: small ones wait for the store, not for the pace."""
SAMPLED_BLOBS = 20
FEWEST_SAMPLED = 5
"""Where nothing of so many blobs is there that nobody missed before, it is the store that is away."""


@dataclass(frozen=True)
class IntegrityPolicy:
    """`share`: how much of a tenant's blobs a run is to look at. `kept`: for how long what is over is
    told."""

    share: float
    max_bytes_per_run: int
    bytes_per_second: int
    kept: timedelta


class Integrity(IntegrityActivities):
    def __init__(
        self,
        database: Database,
        blobs: BlobStore,
        policy: IntegrityPolicy,
        tiers: BlobTiers | None = None,
    ) -> None:
        self._database = database
        self._policy = policy
        self._examiner = Examiner(blobs, Pace(policy.bytes_per_second), tiers)

    @activity.defn(name="begin_verification")
    async def begin_verification(self, request: VerifyIntegrityInput) -> VerificationBegun:
        async with _attempt():
            mine = activity.info().workflow_id or ""
            async with self._transaction(request.tenant_id) as session:
                run = await integrity.open_run(session, request.tenant_id, new_id(), mine)
                if run.workflow_id == mine:
                    await self._plan(session, run)
                    return VerificationBegun(run_id=run.id)
            if await is_running(run.workflow_id):
                return VerificationBegun()
            async with self._transaction(request.tenant_id) as session:
                still = await integrity.run_at_work(
                    session, run.id, run.workflow_id, for_update=True
                )
                if still is None:
                    return VerificationBegun()
                await self._plan(session, still)
            return VerificationBegun(run_id=run.id)

    @activity.defn(name="verify_batch")
    async def verify_batch(self, request: VerifyBatchInput) -> VerifyBatchResult:
        async with _attempt(), heartbeats():
            mine = activity.info().workflow_id or ""
            async with self._transaction(request.tenant_id) as session:
                run = await integrity.run_at_work(session, request.run_id, mine)
                if run is None:
                    return VerifyBatchResult(is_last=True)
                due = _batch(await integrity.due_blobs(session, run, BATCH_BLOBS))
                if not due:
                    return VerifyBatchResult(is_last=True)
                if run.bytes >= self._policy.max_bytes_per_run:
                    run.is_cut_short = True
                    return VerifyBatchResult(is_last=True)
            faults, away = await self._examine(request.tenant_id, due)
            away |= await self._away(request.tenant_id, due, faults)
            if away:
                # The other tier has its turn in the next batch, and this one's blobs among it.
                await self._tell_store_away(request, mine, away)
                return VerifyBatchResult(is_last=False)
            async with self._transaction(request.tenant_id) as session:
                current = await integrity.run_at_work(
                    session, request.run_id, mine, for_update=True
                )
                if current is None:
                    return VerifyBatchResult(is_last=True)
                findings = Findings(due, faults)
                recorded = await integrity.record_findings(session, current, findings)
                _audit(session, current, recorded, faults)
            _tell(current, recorded, faults)
            return VerifyBatchResult(is_last=False, blobs=len(due), faults=len(recorded.kinds))

    @activity.defn(name="end_verification")
    async def end_verification(self, request: EndVerificationInput) -> None:
        async with _attempt(), self._transaction(request.tenant_id) as session:
            mine = activity.info().workflow_id or ""
            state = request.state.value
            if not await integrity.end_run(session, request.run_id, mine, state):
                return
            await integrity.forget_older(session, self._policy.kept)
            run = await session.get_one(IntegrityRun, request.run_id, populate_existing=True)
            level = logging.WARNING if run.faults_found or run.is_cut_short else logging.INFO
            figures = {
                "run_id": str(run.id),
                "state": state,
                "blobs": run.blobs,
                "bytes": run.bytes,
                "faults": run.faults_found,
                "is_cut_short": run.is_cut_short,
                "is_store_away": run.is_store_away,
            }
            logger.log(level, "stored content was verified", extra=figures)

    async def _plan(self, session: AsyncSession, run: IntegrityRun) -> None:
        mine = activity.info().workflow_id or ""
        await integrity.plan_run(session, run, mine, self._policy.share)

    async def _examine(
        self, tenant_id: UUID, due: Sequence[DueBlob]
    ) -> tuple[dict[UUID, FaultKind], set[str]]:
        """The blobs that have a fault, by kind; and the cold tier where it does not answer. Raises
        ObjectStoreUnavailable where another store does not."""
        places = asyncio.Semaphore(IN_FLIGHT)
        faults: dict[UUID, FaultKind] = {}
        away: set[str] = set()

        async def examine(blob: DueBlob) -> None:
            async with places:
                if blob.tier in away:
                    return
                try:
                    kind = await self._examiner.examine(tenant_id, blob)
                except ObjectStoreUnavailable:
                    if blob.tier != Tier.COLD or not await self._examiner.is_cold_away():
                        raise
                    away.add(blob.tier)
                    return
            if kind is not None:
                faults[blob.id] = kind

        async with task_group() as tasks:
            for blob in due:
                tasks.create_task(examine(blob))
        return faults, away

    async def _away(
        self, tenant_id: UUID, due: Sequence[DueBlob], faults: dict[UUID, FaultKind]
    ) -> set[str]:
        """The tiers of which nothing is there. A folder that is not mounted answers as an empty one
        does: each of its objects would be a fault. So where all of a batch that lies in one tier is
        missing, others are looked for there before that is believed."""
        missing = {blob_id for blob_id, kind in faults.items() if kind in MISSING}
        away: set[str] = set()
        for tier in {blob.tier for blob in due}:
            if not missing.issuperset(blob.id for blob in due if blob.tier == tier):
                continue
            async with self._transaction(tenant_id) as session:
                sample = await integrity.sample_without_fault(session, tier, SAMPLED_BLOBS)
            if len(sample) < FEWEST_SAMPLED:
                continue
            if await self._examiner.holds_none(tenant_id, sample):
                away.add(tier)
        return away

    async def _tell_store_away(self, request: VerifyBatchInput, mine: str, away: set[str]) -> None:
        async with self._transaction(request.tenant_id) as session:
            run = await integrity.run_at_work(session, request.run_id, mine, for_update=True)
            if run is None:
                return
            run.is_store_away = True
            run.away_tiers = sorted({*run.away_tiers, *away})
            act = Act(
                "integrity.store_away",
                "integrity_run",
                run.id,
                run.tenant_id,
                payload={"tiers": [*run.away_tiers]},
            )
            record(session, act)
        logger.error(
            "a store holds nothing of the tenant's: is it mounted, and the right one?",
            extra={"run_id": str(request.run_id)},
        )

    @asynccontextmanager
    async def _transaction(self, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
        async with self._database.transaction(Access(tenant_id)) as session:
            yield session


def _batch(due: Sequence[DueBlob]) -> list[DueBlob]:
    """The first of them, up to the bytes of a batch; one at least."""
    taken: list[DueBlob] = []
    size = 0
    for blob in due:
        size += blob.size
        if taken and size > BATCH_BYTES:
            break
        taken.append(blob)
    return taken


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error


def _audit(
    session: AsyncSession, run: IntegrityRun, recorded: Recorded, faults: dict[UUID, FaultKind]
) -> None:
    for action, changed in (
        ("integrity.fault_found", recorded.opened),
        ("integrity.fault_closed", recorded.closed),
    ):
        for fault_id, blob_id in changed:
            payload = {"fault_id": str(fault_id), "run_id": str(run.id)}
            if blob_id in faults:
                payload["kind"] = faults[blob_id].value
            record(session, Act(action, "blob", blob_id, run.tenant_id, payload={**payload}))


def _tell(run: IntegrityRun, recorded: Recorded, faults: dict[UUID, FaultKind]) -> None:
    """Counts and logs what was committed."""
    integrity_bytes_total.inc(recorded.bytes)
    integrity_blobs_total.labels("sound").inc(recorded.sound)
    for kind in recorded.kinds:
        integrity_blobs_total.labels(kind).inc()
    for fault_id, blob_id in recorded.opened:
        ids = {"fault_id": str(fault_id), "blob_id": str(blob_id), "run_id": str(run.id)}
        logger.error(
            "stored content is not what was stored", extra={**ids, "kind": faults[blob_id].value}
        )
    for fault_id, blob_id in recorded.closed:
        ids = {"fault_id": str(fault_id), "blob_id": str(blob_id), "run_id": str(run.id)}
        logger.info("stored content is sound again", extra=ids)

"""Verification of what is stored: whose turn it is, what was found, how far a run has come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import IntegrityRun, new_id
from muniment.contracts.verify_integrity import FaultKind

MAX_LOOKED_AGAIN = 1_000
"""Faults that a run looks at first, so that one which is mended is soon closed; the rest of a store
that has lost everything must not keep the rotation from going on."""
_UNREAD = frozenset((FaultKind.OBJECT_MISSING.value, FaultKind.KEY_MISSING.value))
MAX_REFERENCES = 20
"""Versions named with a fault."""


@dataclass(frozen=True)
class DueBlob:
    """A blob to be read again, and what it was when it was stored."""

    id: UUID
    size: int
    sha256: bytes
    tier: str
    had_fault: bool


@dataclass(frozen=True)
class Findings:
    """What a batch came to: blobs looked at, and the kind of fault where one has any."""

    blobs: Sequence[DueBlob]
    faults: Mapping[UUID, str]


@dataclass(frozen=True)
class Recorded:
    """Of a batch, what counts: blobs erased meanwhile do not. Pairs of a fault's id and its blob's."""

    sound: int
    bytes: int
    kinds: Sequence[str]
    opened: Sequence[tuple[UUID, UUID]]
    closed: Sequence[tuple[UUID, UUID]]


async def tenants_after(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 500
) -> list[UUID]:
    """Ids of tenants, in their order; needs no tenant."""
    rows = await session.execute(
        text("SELECT tenant_id FROM tenants_after(:after, :max_rows)"),
        {"after": after, "max_rows": max_rows},
    )
    return list(rows.scalars())


async def open_run(
    session: AsyncSession, tenant_id: UUID, run_id: UUID, workflow_id: str
) -> IntegrityRun:
    """The tenant's open run, or a new one by that id for that workflow."""
    await session.execute(
        text(
            "INSERT INTO integrity_run (id, tenant_id, workflow_id, state, created_at, blobs,"
            " looked_again, bytes, faults_found, faults_closed, is_cut_short, is_store_away,"
            " away_tiers)"
            " VALUES (:id, :tenant_id, :workflow_id, 'queued', now(), 0, 0, 0, 0, 0, false, false,"
            " '{}')"
            " ON CONFLICT (tenant_id) WHERE finished_at IS NULL DO NOTHING"
        ),
        {"id": run_id, "tenant_id": tenant_id, "workflow_id": workflow_id},
    )
    found = await session.execute(
        text("SELECT id FROM integrity_run WHERE finished_at IS NULL FOR UPDATE")
    )
    return await session.get_one(IntegrityRun, found.scalar_one(), populate_existing=True)


async def plan_run(
    session: AsyncSession, run: IntegrityRun, workflow_id: str, share: float
) -> None:
    """The run is that workflow's now; it is to look at that share of the blobs, one at least. A run
    that goes on keeps its plan."""
    await session.execute(
        text(
            "UPDATE integrity_run SET state = 'running', workflow_id = :workflow_id,"
            " planned_blobs = coalesce(planned_blobs, (SELECT greatest(1, ceil(count(*)"
            " * CAST(:share AS float))) FROM blob WHERE destroyed_at IS NULL"
            " AND kind <> 'password')) WHERE id = :run_id"
        ),
        {"run_id": run.id, "workflow_id": workflow_id, "share": share},
    )


async def run_at_work(
    session: AsyncSession, run_id: UUID, workflow_id: str, *, for_update: bool = False
) -> IntegrityRun | None:
    """The run; None once it is over, or another workflow's."""
    run = await session.get(IntegrityRun, run_id, with_for_update=for_update)
    if run is None or run.finished_at is not None or run.workflow_id != workflow_id:
        return None
    return run


_FAULTY = text(
    """
    SELECT blob.id, blob.size, blob.sha256, blob.tier, true AS had_fault
    FROM integrity_fault JOIN blob ON blob.id = integrity_fault.blob_id
    WHERE integrity_fault.closed_at IS NULL AND blob.destroyed_at IS NULL
      AND coalesce(blob.verified_at, blob.created_at) < :before
      AND blob.tier <> ALL(CAST(:away AS varchar[]))
    ORDER BY integrity_fault.last_seen_at, blob.id
    LIMIT :max_rows
    """
)
# What was just written was read while it was: its turn comes after what has waited for longer. So
# new content cannot keep old content from its turn, as it would if it came first.
_NEXT = text(
    """
    SELECT id, size, sha256, tier, false AS had_fault
    FROM blob
    WHERE destroyed_at IS NULL AND kind <> 'password'
      AND coalesce(verified_at, created_at) < :before
      AND tier <> ALL(CAST(:away AS varchar[]))
    ORDER BY coalesce(verified_at, created_at), id
    LIMIT :max_rows
    """
)


async def due_blobs(session: AsyncSession, run: IntegrityRun, max_rows: int) -> list[DueBlob]:
    """The next blobs of the run: those with open faults, then those that were looked at longest ago.
    None was looked at in this run; passwords, which live as long as a job, are left out, and tiers that
    were found to be away."""
    known = {"before": run.created_at, "away": run.away_tiers}
    again = min(max_rows, MAX_LOOKED_AGAIN - run.looked_again)
    if again > 0:
        rows = await session.execute(_FAULTY, {**known, "max_rows": again})
        if faulty := [DueBlob(*row) for row in rows]:
            return faulty
    left = (run.planned_blobs or 0) - (run.blobs - run.looked_again)
    if left <= 0:
        return []
    rows = await session.execute(_NEXT, {**known, "max_rows": min(left, max_rows)})
    return [DueBlob(*row) for row in rows]


async def record_findings(session: AsyncSession, run: IntegrityRun, findings: Findings) -> Recorded:
    """Notes what the batch found, and that it was looked at. A blob that was erased meanwhile is
    left out: its row is locked here, as it is by an erasure, so that no fault outlives it."""
    ids = [blob.id for blob in findings.blobs]
    rows = await session.execute(
        text(
            "SELECT id FROM blob WHERE id = ANY(:ids) AND destroyed_at IS NULL ORDER BY id"
            " FOR NO KEY UPDATE"
        ),
        {"ids": ids},
    )
    live = set(rows.scalars())
    faulty = {blob_id: kind for blob_id, kind in findings.faults.items() if blob_id in live}
    sound = [blob_id for blob_id in ids if blob_id in live and blob_id not in faulty]
    await session.execute(
        text("UPDATE blob SET verified_at = now() WHERE id = ANY(:ids)"), {"ids": list(live)}
    )
    opened = [
        fault
        for blob_id, kind in faulty.items()
        if (fault := await _open_fault(session, run.tenant_id, blob_id, kind)) is not None
    ]
    closed = await session.execute(
        text(
            "UPDATE integrity_fault SET closed_at = now() WHERE blob_id = ANY(:ids)"
            " AND closed_at IS NULL RETURNING id, blob_id"
        ),
        {"ids": sound},
    )
    mended = [(fault_id, blob_id) for fault_id, blob_id in closed]
    counted = [blob for blob in findings.blobs if blob.id in live]
    # Of what is missing nothing was read, and it must not use up what a run may read.
    size = sum(blob.size for blob in counted if faulty.get(blob.id) not in _UNREAD)
    run.blobs += len(counted)
    run.looked_again += sum(blob.had_fault for blob in counted)
    run.bytes += size
    run.faults_found += len(faulty)
    run.faults_closed += len(mended)
    return Recorded(len(sound), size, tuple(faulty.values()), opened, mended)


async def _open_fault(
    session: AsyncSession, tenant_id: UUID, blob_id: UUID, kind: str
) -> tuple[UUID, UUID] | None:
    """The fault's id and its blob's if it is new; one that was seen before is seen again."""
    fault_id = new_id()
    rows = await session.execute(
        text(
            "INSERT INTO integrity_fault (id, tenant_id, blob_id, kind, first_seen_at,"
            " last_seen_at) VALUES (:id, :tenant_id, :blob_id, :kind, now(), now())"
            " ON CONFLICT (blob_id) WHERE closed_at IS NULL"
            " DO UPDATE SET kind = excluded.kind, last_seen_at = now() RETURNING id"
        ),
        {"id": fault_id, "tenant_id": tenant_id, "blob_id": blob_id, "kind": kind},
    )
    return (fault_id, blob_id) if rows.scalar_one() == fault_id else None


async def end_run(session: AsyncSession, run_id: UUID, workflow_id: str, state: str) -> bool:
    """Whether that workflow's run was open until now."""
    ended = await session.execute(
        text(
            "UPDATE integrity_run SET state = :state, finished_at = now() WHERE id = :run_id"
            " AND workflow_id = :workflow_id AND finished_at IS NULL RETURNING id"
        ),
        {"run_id": run_id, "workflow_id": workflow_id, "state": state},
    )
    return ended.first() is not None


async def sample_without_fault(session: AsyncSession, tier: str, max_rows: int) -> list[UUID]:
    """Some live blobs of that tier, drawn by lot, at which nothing was found."""
    rows = await session.execute(
        text(
            "SELECT id FROM blob WHERE destroyed_at IS NULL AND kind <> 'password'"
            " AND tier = :tier AND NOT EXISTS (SELECT 1 FROM integrity_fault fault"
            " WHERE fault.blob_id = blob.id AND fault.closed_at IS NULL)"
            " ORDER BY random() LIMIT :max_rows"
        ),
        {"tier": tier, "max_rows": max_rows},
    )
    return list(rows.scalars())


async def forget_older(session: AsyncSession, kept: timedelta) -> None:
    """Drops runs that ended, and faults that were closed, longer ago than that."""
    for statement in (
        "DELETE FROM integrity_run WHERE finished_at < now() - CAST(:kept AS interval)",
        "DELETE FROM integrity_fault WHERE closed_at < now() - CAST(:kept AS interval)",
    ):
        await session.execute(text(statement), {"kept": kept})


async def list_runs(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None
) -> Sequence[RowMapping]:
    """Newest first."""
    at, run_id = after or (None, None)
    rows = await session.execute(
        text(
            "SELECT * FROM integrity_run WHERE CAST(:at AS timestamptz) IS NULL"
            " OR (created_at, id) < (CAST(:at AS timestamptz), CAST(:run_id AS uuid))"
            " ORDER BY created_at DESC, id DESC LIMIT :limit"
        ),
        {"at": at, "run_id": run_id, "limit": limit},
    )
    return rows.mappings().all()


async def count_open_faults(session: AsyncSession) -> int:
    found = await session.execute(
        text(
            "SELECT count(*) FROM integrity_fault JOIN blob ON blob.id = integrity_fault.blob_id"
            " WHERE closed_at IS NULL AND blob.destroyed_at IS NULL"
        )
    )
    return int(found.scalar_one())


async def list_open_faults(
    session: AsyncSession, *, limit: int, after: tuple[datetime, UUID] | None = None
) -> Sequence[RowMapping]:
    """Oldest first, each with versions that need the blob."""
    at, fault_id = after or (None, None)
    rows = await session.execute(
        text(
            """
            SELECT fault.id, fault.blob_id, fault.kind, fault.first_seen_at, fault.last_seen_at,
                   (SELECT coalesce(jsonb_agg(needed), '[]'::jsonb)
                    FROM (SELECT version.file_id, version.number AS version,
                                 blob_reference.role
                          FROM blob_reference
                          JOIN file_version version ON version.id = blob_reference.version_id
                          WHERE blob_reference.blob_id = fault.blob_id
                          ORDER BY version.id, blob_reference.role
                          LIMIT :max_references) AS needed) AS needed_by
            FROM integrity_fault fault
            JOIN blob ON blob.id = fault.blob_id AND blob.destroyed_at IS NULL
            WHERE fault.closed_at IS NULL
              AND (CAST(:at AS timestamptz) IS NULL
                   OR (fault.first_seen_at, fault.id)
                       > (CAST(:at AS timestamptz), CAST(:fault_id AS uuid)))
            ORDER BY fault.first_seen_at, fault.id
            LIMIT :limit
            """
        ),
        {"at": at, "fault_id": fault_id, "limit": limit, "max_references": MAX_REFERENCES},
    )
    return rows.mappings().all()

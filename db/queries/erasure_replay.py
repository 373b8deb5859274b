"""What a restored database has of files that the ledger says were erased, and their erasure once more."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col, select

from db.audit import Act, record
from db.erasures import order
from db.ingestions import Origin
from db.models import ErasureLedgerMark, File, now
from db.queries.preservation import standing_preservations
from db.queries.preservation_kinds import GuardedAct
from muniment.contracts.jobs import FileState
from muniment.erasure_ledger import LedgerMark

ACTION = "file.erasure_replayed"
_LOCK = 0x6D756E6C
"""An arbitrary constant that only this takes: of two who repeat erasures one orders each."""
_BLANK = ", ".join(
    f"'{state}'" for state in (FileState.RESTRICTED, FileState.ERASING, FileState.ERASED)
)
_UNDER_WAY = (
    "EXISTS (SELECT 1 FROM job WHERE job.file_id = file.id AND kind = 'erase_file'"
    " AND finished_at IS NULL)"
)


async def mark(session: AsyncSession) -> LedgerMark:
    """How far the ledger was compared with this database."""
    row = await session.get(ErasureLedgerMark, True)
    return LedgerMark() if row is None else LedgerMark(row.offset_bytes, row.line_hash)


async def set_mark(session: AsyncSession, reached: LedgerMark) -> None:
    values = {
        "offset_bytes": reached.offset_bytes,
        "line_hash": reached.line_hash,
        "at": now(),
    }
    await session.execute(
        insert(ErasureLedgerMark)
        .values(is_only=True, **values)
        .on_conflict_do_update(index_elements=["is_only"], set_=values)
    )


async def any_shown(session: AsyncSession, file_ids: Sequence[UUID]) -> bool:
    """Whether one of the tenant's files is there as if nobody had ever wanted it erased."""
    found = await session.execute(
        text(
            "SELECT EXISTS (SELECT 1 FROM file WHERE id = ANY(:ids)"  # noqa: S608 - constants
            f" AND state NOT IN ({_BLANK}))"
        ),
        {"ids": list(file_ids)},
    )
    return bool(found.scalar_one())


async def all_erased(session: AsyncSession, file_ids: Sequence[UUID]) -> bool:
    """Whether of each of them nothing is there, or its tombstone."""
    found = await session.execute(
        text("SELECT NOT EXISTS (SELECT 1 FROM file WHERE id = ANY(:ids) AND state <> 'erased')"),
        {"ids": list(file_ids)},
    )
    return bool(found.scalar_one())


async def order_again(
    session: AsyncSession, tenant_id: UUID, erased_at: Mapping[UUID, datetime]
) -> int:
    """Has those of the files erased that are there and that nobody is erasing; how many those are. Workers
    start the erasures; nothing tells of the files from this transaction's commit on. What a hold or a lock
    of the restored database keeps is restricted, and its erasure waits, as any does."""
    await session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = await session.execute(
        text(
            "SELECT id FROM file WHERE id = ANY(:ids) AND state <> 'erased'"  # noqa: S608 - constants
            f" AND NOT {_UNDER_WAY} ORDER BY id"
        ),
        {"ids": list(erased_at)},
    )
    wanted = list(found.scalars())
    if not wanted:
        return 0
    kept = await standing_preservations(session, wanted, GuardedAct.DELETION)
    files = await session.scalars(
        select(File).where(col(File.id).in_(wanted)).order_by(col(File.id)).with_for_update()
    )
    for file in files.all():
        await _order(session, tenant_id, file, erased_at[file.id], is_kept=file.id in kept)
    await session.flush()
    return len(wanted)


async def _order(
    session: AsyncSession, tenant_id: UUID, file: File, erased_at: datetime, *, is_kept: bool
) -> None:
    job, erasure = order(session, Origin(tenant_id, None), file, is_kept=is_kept)
    erasure.first_erased_at = erased_at
    await session.flush()
    record(
        session,
        Act(
            action=ACTION,
            object_type="file",
            object_id=file.id,
            tenant_id=tenant_id,
            payload={
                "job_id": str(job.id),
                "state": str(erasure.state),
                "first_erased_at": erased_at.isoformat(),
            },
        ),
    )

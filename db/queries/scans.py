"""The virus scan's verdict on a version."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from muniment.contracts.scan import ScanState


@dataclass(frozen=True)
class Verdict:
    """`engine` and `database` say who judged, `signature` what was found, or why a scanner was not
    believed."""

    state: ScanState
    scanned_at: datetime
    engine: str | None = None
    database: str | None = None
    signature: str | None = None


async def verdict_on_content(
    session: AsyncSession, blob_id: UUID, engine: str, database: str
) -> Verdict | None:
    """What this engine with this database said of the same content; None when it was not asked."""
    rows = await session.execute(
        text(
            "SELECT scan_state, scanned_at, scan_engine, scan_database, scan_signature"
            " FROM file_version WHERE blob_id = :blob_id AND scan_engine = :engine"
            " AND scan_database = :database AND scan_state IN ('clean', 'infected')"
            " ORDER BY scanned_at DESC LIMIT 1"
        ),
        {"blob_id": blob_id, "engine": engine, "database": database},
    )
    row = rows.one_or_none()
    if row is None:
        return None
    state, scanned_at, scan_engine, scan_database, signature = row
    return Verdict(ScanState(state), scanned_at, scan_engine, scan_database, signature)


async def record_verdict(session: AsyncSession, version_id: UUID, verdict: Verdict) -> None:
    """Notes the verdict on the version."""
    await session.execute(
        text(
            "UPDATE file_version SET scan_state = :state, scan_engine = :engine,"
            " scan_database = :database, scan_signature = :signature, scanned_at = :scanned_at"
            " WHERE id = :version_id"
        ),
        {
            "version_id": version_id,
            "state": verdict.state.value,
            "engine": verdict.engine,
            "database": verdict.database,
            "signature": verdict.signature,
            "scanned_at": verdict.scanned_at,
        },
    )

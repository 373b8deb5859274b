"""The virus scan's verdict on a version.

Its reason has no column of its own. The column `scan_signature` of a version that is `unscannable` holds
clamd's own alert, which names it (`Heuristics.Encrypted.Zip`), or an alert of ours in the same style, the
setting in question last: `Muniment.TooLarge.StreamMaxLength`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from muniment.contracts.scan import ScanReason, ScanState

_OUR_ALERTS: Mapping[ScanReason, str] = MappingProxyType(
    {
        ScanReason.TOO_LARGE: "Muniment.TooLarge",
        ScanReason.STALE_DATABASE: "Muniment.StaleDatabase",
        ScanReason.FAILS_OPEN: "Muniment.FailsOpen",
        ScanReason.SCANNER_UNAVAILABLE: "Muniment.ScannerUnavailable",
        ScanReason.SCANNER_ERROR: "Muniment.ScannerError",
    }
)
"""For reasons that no alert of clamd names."""
_ALERTS_OF_CLAMD: Mapping[str, ScanReason] = MappingProxyType(
    {
        "Heuristics.Limits.Exceeded": ScanReason.LIMIT,
        "Heuristics.Encrypted.": ScanReason.ENCRYPTED,
    }
)
"""How alerts begin that name no malware but a part that was left out."""


@dataclass(frozen=True)
class Verdict:
    """`engine` and `database` say who judged, `signature` what was found, or the setting that was
    exceeded or is missing; `reason` is None where it is clean."""

    state: ScanState
    scanned_at: datetime
    engine: str | None = None
    database: str | None = None
    signature: str | None = None
    reason: ScanReason | None = None


def reason_and_signature(
    state: ScanState, kept: str | None
) -> tuple[ScanReason | None, str | None]:
    """What the column holds, for a version in that state whose scan is over. Rows from before reasons
    were kept have neither."""
    if state is ScanState.UNSCANNED:
        return ScanReason.NO_SCANNER, None
    if state is ScanState.INFECTED:
        return ScanReason.MALWARE, kept
    if state is ScanState.CLEAN or kept is None:
        return None, None
    for reason, alert in _OUR_ALERTS.items():
        if kept == alert or kept.startswith(f"{alert}."):
            return reason, kept[len(alert) + 1 :] or None
    return reason_of_alert(kept), kept


def reason_of_alert(signature: str) -> ScanReason | None:
    """Why clamd did not look into all of the content; None where it found malware in it."""
    for beginning, reason in _ALERTS_OF_CLAMD.items():
        if signature.startswith(beginning):
            return reason
    return None


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
    recorded, scanned_at, scan_engine, scan_database, kept = row
    state = ScanState(recorded)
    reason, signature = reason_and_signature(state, kept)
    return Verdict(state, scanned_at, scan_engine, scan_database, signature, reason)


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
            "signature": _kept(verdict),
            "scanned_at": verdict.scanned_at,
        },
    )


def _kept(verdict: Verdict) -> str | None:
    alert = _OUR_ALERTS.get(verdict.reason) if verdict.reason is not None else None
    if alert is None:
        return verdict.signature
    return f"{alert}.{verdict.signature}" if verdict.signature else alert

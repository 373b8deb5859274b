"""Stage `scan`: is the content free of known malware, and who says so."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from temporalio import activity

from muniment.contracts.base import StageOutcome, VersionReference


class ScanState(StrEnum):
    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNABLE = "unscannable"
    UNSCANNED = "unscanned"


class ScanReason(StrEnum):
    """Why a scan did not end with `clean`."""

    MALWARE = "malware"
    ENCRYPTED = "encrypted"
    TOO_LARGE = "too-large"
    LIMIT = "limit"
    STALE_DATABASE = "stale-database"
    FAILS_OPEN = "fails-open"
    SCANNER_UNAVAILABLE = "scanner-unavailable"
    SCANNER_ERROR = "scanner-error"
    NO_SCANNER = "no-scanner"


CONTENT_REASONS = frozenset((ScanReason.ENCRYPTED, ScanReason.TOO_LARGE, ScanReason.LIMIT))
"""Of these the content is the cause, and another scan of it would say the same; of the others, but for
malware, the scanner is, which a person can mend."""
_EXPLANATIONS: Mapping[ScanReason, str] = MappingProxyType(
    {
        ScanReason.MALWARE: "The virus scanner found malware",
        ScanReason.ENCRYPTED: "Something in the file is encrypted and cannot be scanned",
        ScanReason.TOO_LARGE: "The file is larger than the virus scanner takes",
        ScanReason.LIMIT: "Scanning all of the file exceeds a limit of the virus scanner",
        ScanReason.STALE_DATABASE: "The virus scanner's signatures are undated or too old",
        ScanReason.FAILS_OPEN: "The virus scanner calls clean what it does not look into",
        ScanReason.SCANNER_UNAVAILABLE: "The virus scanner did not answer",
        ScanReason.SCANNER_ERROR: "The virus scanner answered with an error",
        ScanReason.NO_SCANNER: "There is no virus scanner, and a scan is required",
    }
)


def explanation(reason: ScanReason | None, signature: str | None) -> str:
    """A sentence for whoever decides about the file."""
    said = "The virus scan did not clear the file" if reason is None else _EXPLANATIONS[reason]
    return f"{said} ({signature})." if signature else f"{said}."


class ScanResult(StageOutcome):
    """`quarantine` says whether the workflow must wait for a person; the settings decide for
    `unscanned` (fail open or closed) and for what of `unscannable` lies in the content, infected
    content always waits. `signature` is what was found, or the setting that was met or is missing."""

    state: ScanState
    engine: str | None = None
    database: str | None = None
    signature: str | None = None
    reason: ScanReason | None = None
    scanned_at: datetime
    quarantine: bool = False


class ScanActivities(ABC):
    @activity.defn(name="scan_for_malware")
    @abstractmethod
    async def scan_for_malware(self, version: VersionReference) -> ScanResult:
        """Streams the opened content to the scanner; records the verdict on the version. Raises
        ContentUnscannable where the settings refuse what cannot be scanned."""

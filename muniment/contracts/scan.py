"""Stage `scan`: is the content free of known malware, and who says so."""

from abc import ABC, abstractmethod
from datetime import datetime
from enum import StrEnum

from temporalio import activity

from muniment.contracts.base import StageOutcome, VersionReference


class ScanState(StrEnum):
    CLEAN = "clean"
    INFECTED = "infected"
    UNSCANNABLE = "unscannable"
    UNSCANNED = "unscanned"


class ScanResult(StageOutcome):
    """`quarantine` says whether the workflow must wait for a person; the settings decide for
    `unscanned` (fail open or closed), infected and unscannable content always waits."""

    state: ScanState
    engine: str | None = None
    database: str | None = None
    signature: str | None = None
    scanned_at: datetime
    quarantine: bool = False


class ScanActivities(ABC):
    @activity.defn(name="scan_for_malware")
    @abstractmethod
    async def scan_for_malware(self, version: VersionReference) -> ScanResult:
        """Streams the opened content to the scanner; records the verdict on the version."""

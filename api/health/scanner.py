"""Whether a virus scanner answers, and how old its signatures are.

The API never scans; it says loudly when nobody does.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.health.checks import Finding
from muniment.scanner import Clamd, failed_setting, remedy

ABSENT = Finding(
    "there is no virus scanner: files are taken in UNSCANNED",
    "Install clamd and set MUNIMENT_SCAN__SOCKET; MUNIMENT_SCAN__REQUIRED makes files wait for one.",
)
SCAN_TIMEOUT_SECONDS = 20.0
"""For one scan of what it must not call clean."""


@dataclass(frozen=True)
class ScannerCheck:
    """`scanner`: None where there is none."""

    scanner: Clamd | None
    max_database_age: timedelta

    async def probe(self) -> Finding | None:
        """Raises ScannerUnavailable when it does not answer."""
        if self.scanner is None:
            return ABSENT
        built_at = (await self.scanner.version()).built_at
        if built_at is None:
            return Finding("the virus scanner has no signatures", "Run freshclam.")
        if datetime.now(UTC) - built_at > self.max_database_age:
            return Finding(
                "the virus scanner's signatures are too old to be trusted",
                "Run freshclam, and see that it runs by itself.",
            )
        failed = await failed_setting(self.scanner)
        if failed is None:
            return None
        return Finding(
            "the virus scanner calls clean what it does not look into: its word is not taken",
            remedy(failed),
        )

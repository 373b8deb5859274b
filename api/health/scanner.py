"""Whether a virus scanner answers, and how old its signatures are.

The API never scans; it says loudly when nobody does. The protocol is clamd's `zVERSION` and, for trials
of its configuration, `zINSTREAM`; see clamd(8).
"""

import asyncio
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from api.health.checks import Finding
from muniment.errors import ScannerUnavailable
from muniment.scanner_trial import remedy, trials

ABSENT = Finding(
    "there is no virus scanner: files are taken in UNSCANNED",
    "Install clamd and set MUNIMENT_SCAN__SOCKET; MUNIMENT_SCAN__REQUIRED makes files wait for one.",
)
_CLEAN = "stream: OK"
_MAX_ANSWER_BYTES = 1024
_DATE_FORMAT = "%a %b %d %H:%M:%S %Y"


@dataclass(frozen=True)
class ScannerCheck:
    """clamd at `address`: a socket's path, or host:port; None when there is none."""

    address: str | None
    max_database_age: timedelta

    async def probe(self) -> Finding | None:
        """Raises ScannerUnavailable when it does not answer."""
        if self.address is None:
            return ABSENT
        answer = await self._ask(self.address)
        built_at = database_time(answer)
        if built_at is None:
            return Finding("the virus scanner has no signatures", "Run freshclam.")
        if datetime.now(UTC) - built_at > self.max_database_age:
            return Finding(
                "the virus scanner's signatures are too old to be trusted",
                "Run freshclam, and see that it runs by itself.",
            )
        return await self._try(self.address)

    async def _try(self, address: str) -> Finding | None:
        for setting, content in trials().items():
            stream = struct.pack(">I", len(content)) + content + struct.pack(">I", 0)
            if await self._ask(address, b"zINSTREAM\0" + stream) == _CLEAN:
                return Finding(
                    "the virus scanner calls clean what it does not look into: its word is not taken",
                    remedy(setting),
                )
        return None

    async def _ask(self, address: str, command: bytes = b"zVERSION\0") -> str:
        try:
            host, colon, port = address.rpartition(":")
            if colon and port.isdigit():
                reader, writer = await asyncio.open_connection(host, int(port))
            else:
                reader, writer = await asyncio.open_unix_connection(address)
            try:
                writer.write(command)
                await writer.drain()
                answer = await reader.read(_MAX_ANSWER_BYTES)
            finally:
                writer.close()
        except OSError as error:
            raise ScannerUnavailable(
                f"the virus scanner cannot be reached ({type(error).__name__})"
            ) from error
        return answer.decode("ascii", "replace").rstrip("\0\n")


def database_time(answer: str) -> datetime | None:
    """When the signatures were built, as in `ClamAV 1.4.1/27500/Tue Dec 31 09:10:11 2024`."""
    parts = answer.split("/", 2)
    if len(parts) < 3:
        return None
    try:
        return datetime.strptime(parts[2].strip(), _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None

"""What a virus scanner must not call clean, so that its `clean` can be believed.

clamd fails open by default: what exceeds a limit, and what is encrypted, it calls clean unless its
configuration says otherwise. No command tells its configuration; these contents do.
"""

import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from functools import cache
from types import MappingProxyType

from muniment.scanner.clamd import Clamd, is_clean

DEEPER_THAN_ANY_LIMIT = 120
"""clamd's MaxRecursion is 17 by default and 100 at most."""
_FLAGS_IN_ENTRY = 6
_FLAGS_IN_DIRECTORY = 8


@cache
def trials() -> Mapping[str, bytes]:
    """By the setting of clamd.conf(5) that has it say that it looked into less than everything."""
    return MappingProxyType(
        {
            "AlertExceedsMax": _nested(DEEPER_THAN_ANY_LIMIT),
            "AlertEncryptedArchive": _encrypted(_nested(1)),
        }
    )


async def failed_setting(scanner: Clamd) -> str | None:
    """What its configuration lacks; None when it called nothing clean that it did not look into.
    ScannerUnavailable as every question to it."""
    for setting, content in trials().items():
        if is_clean(await scanner.scan(_once(content))):
            return setting
    return None


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def remedy(settings: str) -> str:
    """What an operator does about a scanner that failed these."""
    return f"Set {settings} to yes in clamd.conf, and restart clamd."


def _nested(levels: int) -> bytes:
    data = b"nothing"
    for _ in range(levels):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo("a"), data)
        data = out.getvalue()
    return data


def _encrypted(archive: bytes) -> bytes:
    """The archive with its only entry marked as encrypted, in both of its headers."""
    marked = bytearray(archive)
    marked[_FLAGS_IN_ENTRY] |= 1
    marked[archive.rindex(b"PK\x01\x02") + _FLAGS_IN_DIRECTORY] |= 1
    return bytes(marked)

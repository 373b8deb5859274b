"""What the sandbox's children are really confined by here, found out by trying.

`python -m activities.sandbox.tier` confines itself as a child is, tries what must fail, and prints
what held.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator

from activities.sandbox.confinement import shut_in
from muniment.contracts.worker_identity import FULL_SANDBOX

PROBE_SECONDS = 20.0
UNKNOWN = ("unknown",)


async def active_tier() -> tuple[str, ...]:
    """The part of FULL_SANDBOX that holds on this machine; UNKNOWN when the probe itself failed."""
    probe = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "activities.sandbox.tier"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            printed, _ = await probe.communicate()
    except TimeoutError:
        probe.kill()
        await probe.wait()
        return UNKNOWN
    if probe.returncode != 0:
        return UNKNOWN
    said = set(printed.decode("ascii", "replace").split())
    return tuple(part for part in FULL_SANDBOX if part in said)


def _held() -> Iterator[str]:
    try:
        os.listdir("/")
    except PermissionError:
        yield "landlock"
    try:
        socket.socket().close()
    except PermissionError:
        yield "seccomp"
    yield "limits"


if __name__ == "__main__":
    if sys.platform == "linux":
        shut_in(())
    sys.stdout.write(" ".join(_held()))
    sys.stdout.flush()
    os._exit(0)

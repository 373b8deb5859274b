"""A process's sign of life for whoever started it: a byte a second, written by its event loop.

A loop that is blocked gives none, nor does a process that is stopped: both hang for all whom they serve, and
neither ends by itself.
"""

import asyncio
import os
import stat
from collections.abc import MutableMapping
from contextlib import suppress

PULSE_VARIABLE = "MUNIMENT_PULSE_DESCRIPTOR"
"""The number of a descriptor that the process inherited: the writing end of a pipe."""
PULSE_SECONDS = 1.0


async def give_pulse(environment: MutableMapping[str, str]) -> None:
    """For as long as the loop runs; at once over where nobody asked for it. The variable is taken out, so
    that no process that is started from here takes the pipe for its own."""
    descriptor = _descriptor(environment.pop(PULSE_VARIABLE, ""))
    if descriptor is None:
        return
    os.set_inheritable(descriptor, False)
    os.set_blocking(descriptor, False)
    while True:
        # Full: nobody has looked for hours. Broken: whoever looked is gone.
        with suppress(OSError):
            os.write(descriptor, b".")
        await asyncio.sleep(PULSE_SECONDS)


def _descriptor(number: str) -> int | None:
    """None for what is no pipe of this process."""
    if not number.isdecimal():
        return None
    try:
        found = os.fstat(int(number))
    except (OSError, OverflowError):
        return None
    return int(number) if stat.S_ISFIFO(found.st_mode) else None

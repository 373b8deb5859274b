"""A session that stands back. Where Linux shares the cores among sessions first (autogroups, sched(7)), a
process's niceness counts within its session alone; among sessions the session's own does."""

import os
import time
from contextlib import suppress
from pathlib import Path

from activities.sandbox.limits import NICENESS, SESSION_NICENESS

_LOWEST = 19
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.15
"""The kernel takes one such wish in a tenth of a second from all who are without privileges."""


def stand_back(leader: int) -> None:
    """The session of that process, which leads it, and its group; with what either starts later. Nothing
    where it is gone already. Takes milliseconds, and seconds where others wish the same at the time."""
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    with suppress(ProcessLookupError):
        os.setpriority(os.PRIO_PGRP, leader, min(_LOWEST, ours + NICENESS))
    share = Path(f"/proc/{leader}/autogroup")
    for _ in range(_ATTEMPTS):
        try:
            share.write_text(str(SESSION_NICENESS), encoding="ascii")
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return  # gone, or of a kernel without: there niceness counts among all processes
        else:
            return

"""The session's part of the cores. Where Linux shares them among sessions first (autogroups, sched(7)), the
niceness of processes counts within their session only; among sessions their own does."""

import os
import time
from pathlib import Path

_TURNS = 20
_TURN_SECONDS = 0.15
"""The kernel takes one such wish of an account without privileges in a tenth of a second."""


def stand_back(niceness: int, session_niceness: int) -> None:
    """This process and what it starts, and the session that it leads."""
    os.nice(niceness)
    share = Path("/proc/self/autogroup")
    for _ in range(_TURNS):
        try:
            share.write_text(str(session_niceness), encoding="ascii")
        except BlockingIOError:
            time.sleep(_TURN_SECONDS)
        except OSError:
            return  # no such kernel: niceness is all there is, and counts among all processes
        else:
            return

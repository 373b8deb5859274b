"""Starts one supervised program: run by path with the standard library only, then replaced by it.

    launch.py PARENT DEATH_SIGNAL USER GROUP SESSION_NICENESS COMMAND…

Drops to USER and GROUP (-1: stays), asks the kernel to send DEATH_SIGNAL when the supervisor
dies (Linux; elsewhere the next `up` ends what was left), has its session stand back by
SESSION_NICENESS (0: as it is) where Linux shares the cores among sessions first, and executes
COMMAND in this process, so that the pid the supervisor knows is the program's own.
"""

import ctypes
import os
import sys
import time

_PR_SET_PDEATHSIG = 1
_CANNOT_START = 127
_SHARE = "/proc/self/autogroup"
_ATTEMPTS = 20
_PAUSE_SECONDS = 0.15
"""The kernel takes one such wish in a tenth of a second from all who are without privileges."""


def main(arguments: list[str]) -> int:
    parent, death_signal, user, group, niceness = (int(argument) for argument in arguments[:5])
    command = arguments[5:]
    os.umask(0o077)
    if user >= 0:
        os.setgroups([])
        os.setgid(group)
        os.setuid(user)
    # After the change of user: the kernel forgets the death signal when credentials change.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent:
        return _CANNOT_START  # the supervisor died before the kernel was asked
    if niceness:
        _stand_back(niceness)
    try:
        os.execvp(command[0], command)  # noqa: S606 - an argument list, never a shell
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        return _CANNOT_START


def _stand_back(niceness: int) -> None:
    """With all that the session starts (autogroups, sched(7)); nothing where the kernel has none."""
    for _ in range(_ATTEMPTS):
        try:
            with open(_SHARE, "w", encoding="ascii") as share:
                share.write(str(niceness))
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
        except OSError:
            return
        else:
            return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Starts one supervised program: run by path with the standard library only, then replaced by it.

    launch.py PARENT DEATH_SIGNAL USER GROUP COMMAND…

Drops to USER and GROUP (-1: stays), asks the kernel to send DEATH_SIGNAL when the supervisor
dies (Linux; elsewhere the next `up` ends what was left), and executes COMMAND in this process,
so that the pid the supervisor knows is the program's own.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_START = 127


def main(arguments: list[str]) -> int:
    parent, death_signal, user, group = (int(argument) for argument in arguments[:4])
    command = arguments[4:]
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
    try:
        os.execvp(command[0], command)  # noqa: S606 - an argument list, never a shell
    except OSError as error:
        sys.stderr.write(f"cannot start {command[0]}: {error.strerror}\n")
        return _CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""What a child gives up before it looks at a document.

Limits and privileges today; the file system (Landlock) and system calls (seccomp) belong in
`confine` as well, last of all, since they forbid what comes before them.
"""

import ctypes
import os
import resource
import signal
import sys

from activities.sandbox.calls import Job

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
CPU_GRACE_SECONDS = 5
"""Between SIGXCPU, which says why, and SIGKILL, which cannot be caught."""


def confine(job: Job, template_process_id: int) -> None:
    """A session of its own, the job's limits, no new privileges, and death with the template."""
    os.setsid()
    if sys.platform == "linux":
        _die_with_parent(template_process_id)
    _limit(job)
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_DUMPABLE, 0)


def _die_with_parent(template_process_id: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != template_process_id:  # it died before we asked to be told
        os._exit(70)


def _limit(job: Job) -> None:
    address_space = _own_address_space() + job.memory_bytes
    for limit, soft, hard in (
        (resource.RLIMIT_AS, address_space, address_space),
        (resource.RLIMIT_CPU, job.cpu_seconds, job.cpu_seconds + CPU_GRACE_SECONDS),
        (resource.RLIMIT_NOFILE, job.open_files, job.open_files),
        (resource.RLIMIT_FSIZE, job.written_bytes, job.written_bytes),
        (resource.RLIMIT_CORE, 0, 0),
    ):
        _, ceiling = resource.getrlimit(limit)
        if ceiling != resource.RLIM_INFINITY:
            soft, hard = min(soft, ceiling), min(hard, ceiling)
        resource.setrlimit(limit, (soft, hard))


def _own_address_space() -> int:
    """What the template already holds, in bytes; it is shared, so it does not count."""
    if sys.platform != "linux":
        return 0
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _prctl(option: int, argument: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")

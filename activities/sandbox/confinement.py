"""What a child gives up before it looks at a document.

Limits and privileges first, then the file system (Landlock) and system calls (seccomp), last of
all, since they forbid what comes before them. Where the kernel has one of these not, the rest holds
all the same; `activities.sandbox.tier` finds out what holds.
"""

import ctypes
import os
import resource
import signal
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from activities.sandbox import landlock, seccomp
from activities.sandbox.calls import Job
from activities.sandbox.limits import MEBIBYTE

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
LAST_WORDS_BYTES = 32 * MEBIBYTE
CPU_GRACE_SECONDS = 5
"""Between SIGXCPU, which says why, and SIGKILL, which cannot be caught."""


_CAPABILITY_VERSION = 0x20080522
_READABLE = (
    # Shared libraries, time zones, the kernel's account of processors and of the process itself.
    *("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu"),
    # Its share of them: DuckDB dies where it sees these figures and may not read them.
    "/sys/fs/cgroup",
)


def confine(job: Job, descriptors: Sequence[int], template_process_id: int) -> None:
    """A process group of its own, the job's limits, no privileges, death with the template; of the
    file system the programs and `descriptors` to read, no sockets, no other processes. The session
    stays the template's: in one of its own each call got as much of the cores as the API."""
    os.setpgid(0, 0)
    if sys.platform == "linux":
        _die_with_parent(template_process_id)
    _limit(job)
    if sys.platform == "linux":
        shut_in(descriptors)


def shut_in(descriptors: Sequence[int]) -> None:
    """Privileges, the file system and system calls, each as far as the kernel goes along."""
    _drop_capabilities()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    landlock.allow_only_reading(_readable_places(), descriptors)
    seccomp.forbid_system_calls()


def prepare() -> None:
    """Done once by the template, when it has loaded its engines: what each child would have to find
    out costs it two thirds of its confinement, mostly in memory that it touches first."""
    if sys.platform == "linux":
        landlock.version()
        _readable_places()
        seccomp.prepared_filter()


@cache
def _readable_places() -> tuple[landlock.Place, ...]:
    return tuple(map(landlock.place_of, _readable_paths()))


def _readable_paths() -> tuple[Path, ...]:
    """Where programs and their data lie. Of packages outside of Python's own folders only their own:
    beside them may lie what is not theirs to read, such as a deployment's home with its keys."""
    prefixes = {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}
    packages = {
        Path(folder).resolve()
        for name, module in list(sys.modules.items())
        if "." not in name
        for folder in getattr(module, "__path__", ())
    }
    elsewhere = sorted(
        folder
        for folder in packages
        if folder.is_dir() and not any(folder.is_relative_to(prefix) for prefix in prefixes)
    )
    return (*prefixes, *elsewhere, *map(Path, _READABLE))


def _drop_capabilities() -> None:
    """A worker that runs as root reads no foreign files by it. The user stays: another one might
    not be let in to where Python lies."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION, 0)
    none = (ctypes.c_uint32 * 6)()
    if _LIBC.capset(header, none) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _die_with_parent(template_process_id: int) -> None:
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != template_process_id:  # it died before we asked to be told
        os._exit(os.EX_SOFTWARE)


def allow_last_words() -> None:
    """A process that ran out of memory needs a little more to say so."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (hard, hard))


def _limit(job: Job) -> None:
    address_space = _own_address_space() + job.memory_bytes
    for limit, soft, hard in (
        (resource.RLIMIT_AS, address_space, address_space + LAST_WORDS_BYTES),
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
    statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return int(os.read(statm, 256).split()[0]) * resource.getpagesize()
    finally:
        os.close(statm)


def _prctl(option: int, argument: int) -> None:
    if _LIBC.prctl(option, argument, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")

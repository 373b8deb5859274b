"""The command line with which bubblewrap shuts a program in; see bwrap(1).

Within are: the system's programs and libraries, read-only; one folder in memory, of bounded size,
empty but for the input; no network, no other processes, no privileges, no environment.
"""

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

WORK = "/work"
"""The program's only writable folder, its home and working directory."""
_SYSTEM = ("/usr",)
_SYSTEM_LINKS = ("/bin", "/sbin", "/lib", "/lib64")
_SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives", "/etc/libreoffice")
_SHARED_MEMORY = ("--size", "1048576", "--tmpfs", "/dev/shm")  # noqa: S108 - its own
_KEEP_RESULT = '"$@" </dev/null >/dev/null 2>&1 || exit 1; exec cat -- "$RESULT"'
NOBODY = 65534
"""As whom a program runs whose worker is root: the number of processes of root cannot be limited."""


@dataclass(frozen=True)
class Tools:
    """`bwrap`, and of util-linux `prlimit`, which sets limits within (those of processes count all of
    a user's where they are set outside), and `setpriv`, which changes the user."""

    bwrap: Path
    prlimit: Path
    setpriv: Path


def find_tools() -> Tools | None:
    """None where one of them is not installed."""
    found = [shutil.which(name, path=os.defpath) for name in ("bwrap", "prlimit", "setpriv")]
    paths = [Path(path) for path in found if path is not None]
    return Tools(*paths) if len(paths) == len(found) else None


@dataclass(frozen=True)
class Enclosure:
    """What one run may have. `inputs` are open descriptors by the names that the program sees in
    its folder; `result` is the file there that is its output, None when it writes that itself."""

    command: Sequence[str]
    folders: Sequence[Path]
    inputs: dict[str, int]
    result: str | None
    filter_descriptor: int | None
    scratch_bytes: int
    memory_bytes: int
    cpu_seconds: int
    processes: int
    open_files: int = 1024


def command_line(tools: Tools, enclosure: Enclosure) -> list[str]:
    """bubblewrap's arguments, those of the program among them."""
    return [
        # By a program, since uvloop's processes have no other user.
        *(_as_nobody(tools.setpriv) if os.geteuid() == 0 else ()),
        str(tools.bwrap),
        # Without --new-session: it is started in one of no terminal, whose niceness is to hold within.
        *("--unshare-all", "--die-with-parent", "--clearenv", "--cap-drop", "ALL"),
        *_mounts(enclosure),
        *("--setenv", "PATH", os.defpath, "--setenv", "HOME", WORK, "--setenv", "TMPDIR", WORK),
        *("--setenv", "LANG", "C.UTF-8", "--setenv", "RESULT", f"{WORK}/{enclosure.result}"),
        *("--chdir", WORK, "--remount-ro", "/"),
        *_filter(enclosure.filter_descriptor),
        *("--", str(tools.prlimit), *_limits(enclosure), "--"),
        *(("/bin/sh", "-c", _KEEP_RESULT, "sh") if enclosure.result else ()),
        *enclosure.command,
    ]


def _as_nobody(setpriv: Path) -> tuple[str, ...]:
    return (
        str(setpriv),
        *("--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--"),
    )


def _mounts(enclosure: Enclosure) -> Iterator[str]:
    for path in (*_SYSTEM, *(str(folder) for folder in enclosure.folders)):
        yield from ("--ro-bind", path, path)
    for path in (*_SYSTEM_LINKS, *_SYSTEM_FILES):
        yield from ("--ro-bind-try", path, path)
    yield from ("--proc", "/proc", "--dev", "/dev", *_SHARED_MEMORY)
    yield from ("--size", str(enclosure.scratch_bytes), "--tmpfs", WORK)
    # What insists on the usual place for its sockets and temporary files finds the same folder.
    yield from ("--symlink", WORK, "/tmp")  # noqa: S108 - its own
    for name, descriptor in enclosure.inputs.items():
        yield from ("--file", str(descriptor), f"{WORK}/{name}")


def _filter(descriptor: int | None) -> Iterator[str]:
    if descriptor is not None:
        yield from ("--seccomp", str(descriptor))


def _limits(enclosure: Enclosure) -> Iterator[str]:
    yield f"--as={enclosure.memory_bytes}"
    yield f"--cpu={enclosure.cpu_seconds}"
    yield f"--nproc={enclosure.processes}"
    yield f"--nofile={enclosure.open_files}"
    yield f"--fsize={enclosure.scratch_bytes}"
    yield "--core=0"

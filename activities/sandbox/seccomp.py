"""seccomp (Linux): a process forbids itself system calls, by a filter in classic BPF.

libseccomp's own binding is not on PyPI and needs the library; the filter is a list of comparisons,
written here instruction by instruction. See seccomp(2), and `struct seccomp_data` there.
"""

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_KILL_PROCESS, _FAIL, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _FIRST_ARGUMENT_OFFSET = 0, 4, 16
_FIFTH_ARGUMENT_OFFSETS = 48, 52
"""Both halves of a pointer; their order does not matter to whether it is null."""
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID and -NET (linux/sched.h)."""
_X32_NUMBERS = 0x40000000
"""The x32 ABI of x86-64 counts from here: another way to the same calls."""


@dataclass(frozen=True, slots=True)
class _Architecture:
    """`audit` names it in the kernel's data; `calls` are its numbers."""

    audit: int
    calls: Mapping[str, int]


def _numbers(table: str) -> dict[str, int]:
    words = table.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


def _names(table: str) -> frozenset[str]:
    return frozenset(table.split())


_SAME_EVERYWHERE = _numbers(
    """
    pidfd_send_signal 424  io_uring_setup 425  io_uring_enter 426  io_uring_register 427
    open_tree 428  move_mount 429  fsopen 430  fsconfig 431  fsmount 432  fspick 433
    pidfd_open 434  clone3 435  pidfd_getfd 438  process_madvise 440  mount_setattr 442
    quotactl_fd 443  fchmodat2 452  setxattrat 463  removexattrat 466  open_tree_attr 467
    file_setattr 469
    """
)
_X86_64 = _numbers(
    """
    socket 41  connect 42  accept 43  bind 49  listen 50  accept4 288
    clone 56  fork 57  vfork 58  execve 59  execveat 322  kill 62  tkill 200  tgkill 234
    ptrace 101  process_vm_readv 310  process_vm_writev 311  unshare 272  setns 308
    mount 165  umount2 166  pivot_root 155  chroot 161  swapon 167  reboot 169
    init_module 175  finit_module 313  kexec_load 246  kexec_file_load 320  bpf 321
    add_key 248  request_key 249  keyctl 250  perf_event_open 298  userfaultfd 323
    open_by_handle_at 304  rt_sigqueueinfo 129  rt_tgsigqueueinfo 297  prlimit64 302
    sendto 44  sendmsg 46  sendmmsg 307
    shmget 29  shmat 30  shmctl 31  semget 64  msgget 68  mq_open 240
    chmod 90  fchmod 91  fchmodat 268  chown 92  fchown 93  lchown 94  fchownat 260
    utime 132  utimes 235  futimesat 261  utimensat 280  truncate 76
    setxattr 188  lsetxattr 189  fsetxattr 190
    removexattr 197  lremovexattr 198  fremovexattr 199
    setsid 112  setpgid 109  setpriority 141  ioprio_set 251  sched_setaffinity 203
    sched_setparam 142  sched_setscheduler 144  sched_setattr 314
    migrate_pages 256  move_pages 279  kcmp 312  fanotify_init 300  name_to_handle_at 303
    quotactl 179  acct 163  swapoff 168  sethostname 170  setdomainname 171
    settimeofday 164  clock_settime 227  clock_adjtime 305  delete_module 176  syslog 103
    iopl 172  ioperm 173  modify_ldt 154
    """
)
_AARCH64 = _numbers(
    """
    socket 198  connect 203  accept 202  bind 200  listen 201  accept4 242
    clone 220  execve 221  execveat 281  kill 129  tkill 130  tgkill 131
    ptrace 117  process_vm_readv 270  process_vm_writev 271  unshare 97  setns 268
    mount 40  umount2 39  pivot_root 41  chroot 51  swapon 224  reboot 142
    init_module 105  finit_module 273  kexec_load 104  kexec_file_load 294  bpf 280
    add_key 217  request_key 218  keyctl 219  perf_event_open 241  userfaultfd 282
    open_by_handle_at 265  rt_sigqueueinfo 138  rt_tgsigqueueinfo 240  prlimit64 261
    sendto 206  sendmsg 211  sendmmsg 269
    shmget 194  shmat 196  shmctl 195  semget 190  msgget 186  mq_open 180
    fchmod 52  fchmodat 53  fchown 55  fchownat 54  utimensat 88  truncate 45
    setxattr 5  lsetxattr 6  fsetxattr 7  removexattr 14  lremovexattr 15  fremovexattr 16
    setsid 157  setpgid 154  setpriority 140  ioprio_set 30  sched_setaffinity 122
    sched_setparam 118  sched_setscheduler 119  sched_setattr 274
    migrate_pages 238  move_pages 239  kcmp 272  fanotify_init 262  name_to_handle_at 264
    quotactl 60  acct 89  swapoff 225  sethostname 161  setdomainname 162
    settimeofday 170  clock_settime 112  clock_adjtime 266  delete_module 106  syslog 116
    """
)
_ARCHITECTURES: Mapping[str, _Architecture] = MappingProxyType(
    {
        "x86_64": _Architecture(0xC000003E, {**_X86_64, **_SAME_EVERYWHERE}),
        "aarch64": _Architecture(0xC00000B7, {**_AARCH64, **_SAME_EVERYWHERE}),
    }
)

_FAILING = _names(
    """
    socket connect accept accept4 bind listen sendmsg sendmmsg fork vfork tkill pidfd_open
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
    truncate setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr
    removexattrat file_setattr name_to_handle_at setsid setpgid setpriority ioprio_set
    sched_setparam sched_setscheduler sched_setattr
    """
)
"""Libraries try these in good faith, and go on without. Modes, owners and times of files are beyond
Landlock, and a worker that is not root shares its user with the files it must protect."""
_ABOUT_ITSELF = ("kill", "tgkill", "prlimit64", "sched_setaffinity")
"""Allowed where the first argument is this process, or 0 for itself; `abort` needs the second."""
_FOR_PROGRAMS = _names(
    """
    execve execveat rt_sigqueueinfo rt_tgsigqueueinfo
    shmget shmat shmctl semget msgget mq_open
    """
)
"""What external programs may do besides, in namespaces of their own."""
_SPECIAL = ("clone", "clone3", "sendto", *_ABOUT_ITSELF)

Instruction = tuple[int, int, int, int]
"""Code, how many to skip when true, when false, and the operand."""


class _FilterInstruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("jump_true", ctypes.c_uint8),
        ("jump_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _FilterProgram(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_ushort),
        ("instructions", ctypes.POINTER(_FilterInstruction)),
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


class _Filter:
    """The filter with a gap: the number of the process that it is for."""

    def __init__(self, architecture: _Architecture) -> None:
        instructions = list(_instructions(architecture, 1))
        others = _instructions(architecture, 2)
        self._gaps = [
            place
            for place, (one, other) in enumerate(zip(instructions, others, strict=True))
            if one != other
        ]
        self._array = (_FilterInstruction * len(instructions))(
            *(_FilterInstruction(*instruction) for instruction in instructions)
        )
        self._program = _FilterProgram(len(instructions), self._array)

    def install(self, process_id: int) -> bool:
        for place in self._gaps:
            self._array[place].operand = process_id
        program = ctypes.byref(self._program)
        return bool(_LIBC.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0) == 0)


@cache
def prepared_filter() -> _Filter | None:
    """None where the architecture is unknown."""
    architecture = _ARCHITECTURES.get(platform.machine())
    return None if architecture is None else _Filter(architecture)


def forbid_system_calls() -> bool:
    """Forbids this process, for good, sockets, other processes and the kernel's more dangerous
    calls: what no parser ever needs ends the process with SIGSYS, the rest fails with EPERM. False
    where the architecture is unknown or the kernel has no filters. Needs no_new_privs.
    """
    prepared = prepared_filter()
    return prepared is not None and prepared.install(os.getpid())


def program_filter() -> bytes | None:
    """The filter for external programs, as bubblewrap takes it (`struct sock_filter`s): they may
    start programs and talk among themselves, for which they have namespaces of their own, and get
    EPERM for new namespaces and for the kernel's more dangerous calls. None where the architecture
    is unknown.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return None
    return b"".join(
        struct.pack("=HBBI", *instruction) for instruction in _program_instructions(architecture)
    )


def _program_instructions(architecture: _Architecture) -> Iterator[Instruction]:
    calls = architecture.calls
    yield from _own_calls_only(architecture)
    for name, number in calls.items():
        if name not in (*_FAILING, *_SPECIAL, *_FOR_PROGRAMS):
            yield (_JUMP_IF_EQUAL, 0, 1, number)
            yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
    yield (_JUMP_IF_EQUAL, 0, 1, calls["clone3"])
    yield (_RETURN, 0, 0, _FAIL | errno.ENOSYS)
    yield (_JUMP_IF_EQUAL, 0, 4, calls["clone"])
    yield (_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET)
    yield (_AND, 0, 0, _CLONE_NAMESPACES)
    yield (_JUMP_IF_EQUAL, 1, 0, 0)
    yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
    yield (_RETURN, 0, 0, _ALLOW)


def _own_calls_only(architecture: _Architecture) -> Iterator[Instruction]:
    """Calls of another architecture, whose numbers mean other things, end the process."""
    yield (_LOAD, 0, 0, _ARCHITECTURE_OFFSET)
    yield (_JUMP_IF_EQUAL, 1, 0, architecture.audit)
    yield (_RETURN, 0, 0, _KILL_PROCESS)
    yield (_LOAD, 0, 0, _NUMBER_OFFSET)
    yield (_JUMP_IF_AT_LEAST, 0, 1, _X32_NUMBERS)
    yield (_RETURN, 0, 0, _KILL_PROCESS)


def _instructions(architecture: _Architecture, own_process_id: int) -> Iterator[Instruction]:
    calls = architecture.calls
    yield from _own_calls_only(architecture)
    for name, number in calls.items():
        if name not in _SPECIAL:
            verdict = _FAIL | errno.EPERM if name in _FAILING else _KILL_PROCESS
            yield (_JUMP_IF_EQUAL, 0, 1, number)
            yield (_RETURN, 0, 0, verdict)
    yield from _threads_only(calls)
    yield from _no_addressee(calls["sendto"])
    for name in _ABOUT_ITSELF:
        yield (_JUMP_IF_EQUAL, 0, 5, calls[name])
        yield (_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET)
        yield (_JUMP_IF_EQUAL, 1, 0, own_process_id)
        yield (_JUMP_IF_EQUAL, 0, 1, 0)
        yield (_RETURN, 0, 0, _ALLOW)
        yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
    yield (_RETURN, 0, 0, _ALLOW)


def _threads_only(calls: Mapping[str, int]) -> Iterator[Instruction]:
    """`clone` makes threads and no processes. glibc falls back to it, whose flags a filter can see."""
    yield (_JUMP_IF_EQUAL, 0, 1, calls["clone3"])
    yield (_RETURN, 0, 0, _FAIL | errno.ENOSYS)
    yield (_JUMP_IF_EQUAL, 0, 5, calls["clone"])
    yield (_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET)
    yield (_AND, 0, 0, _CLONE_THREAD)
    yield (_JUMP_IF_EQUAL, 1, 0, 0)
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_RETURN, 0, 0, _FAIL | errno.EPERM)


def _no_addressee(sendto: int) -> Iterator[Instruction]:
    """Event loops wake themselves through a socket pair; with an address, one end of such a pair
    would reach every datagram socket that lies in the file system, which Landlock does not see."""
    low, high = _FIFTH_ARGUMENT_OFFSETS
    yield (_JUMP_IF_EQUAL, 0, 6, sendto)
    yield (_LOAD, 0, 0, low)
    yield (_JUMP_IF_EQUAL, 0, 3, 0)
    yield (_LOAD, 0, 0, high)
    yield (_JUMP_IF_EQUAL, 0, 1, 0)
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_RETURN, 0, 0, _FAIL | errno.EPERM)

"""seccomp (Linux): a process forbids itself system calls, by a filter in classic BPF.

libseccomp's own binding is not on PyPI and needs the library; the filter is a list of comparisons,
written here instruction by instruction. See seccomp(2), and `struct seccomp_data` there.
"""

import ctypes
import errno
import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

_PR_SET_SECCOMP, _MODE_FILTER = 22, 2
_LOAD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_KILL_PROCESS, _FAIL, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_NUMBER_OFFSET, _ARCHITECTURE_OFFSET, _FIRST_ARGUMENT_OFFSET = 0, 4, 16
_CLONE_THREAD = 0x00010000
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


_SAME_EVERYWHERE = _numbers(
    """
    pidfd_send_signal 424  io_uring_setup 425  io_uring_enter 426  io_uring_register 427
    open_tree 428  move_mount 429  fsopen 430  fsmount 432  clone3 435  pidfd_getfd 438
    mount_setattr 442
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
    """
)
_ARCHITECTURES: Mapping[str, _Architecture] = MappingProxyType(
    {
        "x86_64": _Architecture(0xC000003E, {**_X86_64, **_SAME_EVERYWHERE}),
        "aarch64": _Architecture(0xC00000B7, {**_AARCH64, **_SAME_EVERYWHERE}),
    }
)

_FAILING = ("socket", "connect", "accept", "accept4", "bind", "listen", "fork", "vfork", "tkill")
"""Libraries try these in good faith, and go on without."""
_ABOUT_ITSELF = ("kill", "tgkill", "prlimit64")
"""Allowed where the first argument is this process, or 0 for itself; `abort` needs the second."""
_SPECIAL = ("clone", "clone3", *_ABOUT_ITSELF)

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


def forbid_system_calls() -> bool:
    """Forbids this process, for good, sockets, other processes and the kernel's more dangerous
    calls: what no parser ever needs ends the process with SIGSYS, the rest fails with EPERM. False
    where the architecture is unknown or the kernel has no filters. Needs no_new_privs.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return False
    instructions = list(_instructions(architecture, os.getpid()))
    array = (_FilterInstruction * len(instructions))(
        *(_FilterInstruction(*instruction) for instruction in instructions)
    )
    program = _FilterProgram(len(instructions), array)
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


def _instructions(architecture: _Architecture, own_process_id: int) -> Iterator[Instruction]:
    calls = architecture.calls
    yield (_LOAD, 0, 0, _ARCHITECTURE_OFFSET)
    yield (_JUMP_IF_EQUAL, 1, 0, architecture.audit)
    yield (_RETURN, 0, 0, _KILL_PROCESS)
    yield (_LOAD, 0, 0, _NUMBER_OFFSET)
    yield (_JUMP_IF_AT_LEAST, 0, 1, _X32_NUMBERS)
    yield (_RETURN, 0, 0, _KILL_PROCESS)
    for name, number in calls.items():
        if name not in _SPECIAL:
            verdict = _FAIL | errno.EPERM if name in _FAILING else _KILL_PROCESS
            yield (_JUMP_IF_EQUAL, 0, 1, number)
            yield (_RETURN, 0, 0, verdict)
    # glibc falls back to clone, whose flags a filter can see.
    yield (_JUMP_IF_EQUAL, 0, 1, calls["clone3"])
    yield (_RETURN, 0, 0, _FAIL | errno.ENOSYS)
    yield (_JUMP_IF_EQUAL, 0, 5, calls["clone"])
    yield (_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET)
    yield (_AND, 0, 0, _CLONE_THREAD)
    yield (_JUMP_IF_EQUAL, 1, 0, 0)
    yield (_RETURN, 0, 0, _ALLOW)
    yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
    for name in _ABOUT_ITSELF:
        yield (_JUMP_IF_EQUAL, 0, 5, calls[name])
        yield (_LOAD, 0, 0, _FIRST_ARGUMENT_OFFSET)
        yield (_JUMP_IF_EQUAL, 1, 0, own_process_id)
        yield (_JUMP_IF_EQUAL, 0, 1, 0)
        yield (_RETURN, 0, 0, _ALLOW)
        yield (_RETURN, 0, 0, _FAIL | errno.EPERM)
    yield (_RETURN, 0, 0, _ALLOW)

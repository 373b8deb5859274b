"""The filter of system calls on both architectures, against the kernel's own tables and as the
kernel's machine would run it."""

import errno
import os

import pytest
from system_calls import NotSupportedSystemCall, syscalls

from activities.sandbox import seccomp

KERNEL_NAMES = {"x86_64": "x86_64", "aarch64": "arm64"}
ELF_MACHINES = {"x86_64": 62, "aarch64": 183}
"""`e_machine` of an executable of the architecture (elf.h)."""
SIXTY_FOUR_BITS_LITTLE_ENDIAN = 0xC0000000
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
REFUSED = 0x00050000 | errno.EPERM
NOT_THERE = 0x00050000 | errno.ENOSYS
OWN_PROCESS = 4711

architectures = pytest.mark.parametrize("machine", sorted(KERNEL_NAMES))


def number_of(name: str, machine: str) -> int:
    return int(syscalls().get(name, KERNEL_NAMES[machine]))


@architectures
def test_every_number_is_the_kernels(machine: str) -> None:
    ours = seccomp._ARCHITECTURES[machine].calls
    assert len(ours) > 80
    assert ours == {name: number_of(name, machine) for name in ours}


@architectures
def test_what_one_architecture_forbids_the_other_does_too(machine: str) -> None:
    """A call may be missing only where the kernel has none of that name."""
    everywhere = {name for each in seccomp._ARCHITECTURES.values() for name in each.calls}
    for name in everywhere - set(seccomp._ARCHITECTURES[machine].calls):
        with pytest.raises(NotSupportedSystemCall):
            number_of(name, machine)
    assert set(seccomp._FAILING) | set(seccomp._SPECIAL) <= everywhere


def verdict(
    machine: str, name: str, arguments: tuple[int, ...] = (), *, of: str | None = None
) -> int:
    """What the filter says of a call, by classic BPF's semantics (bpf(4)); `of` names the
    architecture of the call where it is another one's."""
    program = list(seccomp._instructions(seccomp._ARCHITECTURES[machine], OWN_PROCESS))
    assert len(program) <= 4096
    data = bytearray(64)
    data[0:4] = number_of(name, of or machine).to_bytes(4, "little")
    audit = ELF_MACHINES[of or machine] | SIXTY_FOUR_BITS_LITTLE_ENDIAN
    data[4:8] = audit.to_bytes(4, "little")
    for position, argument in enumerate(arguments):
        data[16 + 8 * position : 24 + 8 * position] = argument.to_bytes(8, "little")
    return run(program, bytes(data))


def run(program: list[seccomp.Instruction], data: bytes) -> int:
    accumulator = position = 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        match code:
            case 0x20:
                accumulator = int.from_bytes(data[operand : operand + 4], "little")
            case 0x54:
                accumulator &= operand
            case 0x15:
                position += if_true if accumulator == operand else if_false
            case 0x35:
                position += if_true if accumulator >= operand else if_false
            case 0x06:
                return operand
            case _:
                raise AssertionError(f"an instruction that is none of the filter's: {code:#x}")


@architectures
def test_the_verdicts_are_those_that_are_promised(machine: str) -> None:
    for name in ("read", "write", "openat", "mmap", "exit_group", "futex", "socketpair"):
        assert verdict(machine, name) == ALLOWED, name
    for name in ("execve", "ptrace", "mount", "bpf", "io_uring_setup", "unshare", "setns"):
        assert verdict(machine, name) == KILLED, name
    for name in ("socket", "connect", "pidfd_open", "fchmodat", "setsid"):
        assert verdict(machine, name) == REFUSED, name
    assert verdict(machine, "clone3") == NOT_THERE
    assert verdict(machine, "clone", (0x00010000,)) == ALLOWED, "a thread"
    assert verdict(machine, "clone", (0x11,)) == REFUSED, "a process"
    assert verdict(machine, "kill", (OWN_PROCESS, 6)) == ALLOWED
    assert verdict(machine, "kill", (1, 9)) == REFUSED
    assert verdict(machine, "sendto", (3, 0, 0, 0, 0)) == ALLOWED
    assert verdict(machine, "sendto", (3, 0, 0, 0, 1 << 40)) == REFUSED


def test_calls_of_another_architecture_end_the_process() -> None:
    assert verdict("x86_64", "read", of="aarch64") == KILLED
    assert verdict("aarch64", "read", of="x86_64") == KILLED


def test_the_machine_that_runs_this_is_one_of_them() -> None:
    assert os.uname().machine in seccomp._ARCHITECTURES

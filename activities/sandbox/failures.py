"""Carries errors across the border: which classes may cross, and what a process's end means."""

import os
import signal
from collections.abc import Iterator

from activities.sandbox.calls import Ended, Failure
from activities.sandbox.limits import MEBIBYTE, Limits
from muniment.errors import (
    ConfigurationError,
    DocumentError,
    EngineCrashed,
    EngineError,
    EngineOutOfMemory,
    EngineTimeUsedUp,
    MunimentError,
)


def _with_subclasses(base: type[MunimentError]) -> Iterator[type[MunimentError]]:
    yield base
    for subclass in base.__subclasses__():
        yield from _with_subclasses(subclass)


_CROSSING: dict[str, type[MunimentError]] = {
    error.problem: error
    for base in (DocumentError, EngineError, ConfigurationError)
    for error in _with_subclasses(base)
}
"""Only what an engine has a right to say: about the document, itself, or how it is set up."""
LONGEST_CHARACTERS = 2000
"""Of a detail or remedy: more is none of ours. Both are kept with the job, and shown."""


def failure_of_error(error: MunimentError) -> Failure:
    """The error as it travels."""
    return Failure(problem=error.problem, detail=error.detail, remedy=error.remedy)


def error_of_failure(failure: Failure) -> MunimentError:
    """The error as it was raised, in characters that can be kept and shown; EngineCrashed for a class
    that has no business here."""
    error = _CROSSING.get(failure.problem)
    if error is None:
        return EngineCrashed("The engine failed in a way it has no right to.")
    remedy = None if failure.remedy is None else _shown(failure.remedy)
    return error(_shown(failure.detail), remedy=remedy)


def _shown(text: str) -> str:
    """PostgreSQL keeps no NUL, and a terminal obeys control characters."""
    return "".join(
        character if character.isprintable() else " " for character in text[:LONGEST_CHARACTERS]
    )


def error_of_end(ended: Ended, limits: Limits) -> EngineError:
    """Why a process ended without an answer."""
    if ended.signal == signal.SIGXCPU or (
        # An engine that caught or ignored the first warning: the kernel's second cannot be.
        ended.signal == signal.SIGKILL and ended.cpu_seconds >= limits.cpu_seconds
    ):
        return EngineTimeUsedUp(f"The engine used up its {limits.cpu_seconds} s of computing.")
    # Nobody here killed it: that leaves the kernel, which does so when memory runs out.
    if ended.signal == signal.SIGKILL or _gave_up_for_memory(ended, limits):
        return EngineOutOfMemory(
            f"The engine ended at {ended.peak_memory_bytes // MEBIBYTE:,} MiB of memory; "
            f"its limit is {limits.memory_bytes // MEBIBYTE:,} MiB."
        )
    if ended.signal == signal.SIGSYS:
        return EngineCrashed("The engine was ended: it tried what the sandbox forbids.")
    if ended.signal is not None:
        return EngineCrashed(f"The engine died of {signal.Signals(ended.signal).name}.")
    return EngineCrashed(f"The engine ended with code {ended.exit_code} and without an answer.")


def _gave_up_for_memory(ended: Ended, limits: Limits) -> bool:
    """Libraries in C and C++ end their process when they get no memory; those in Rust raise what no
    handler of exceptions sees, and the child ends as one that could not go on. What they had in use
    stays below the limit, which counts address space and the piece that was refused."""
    gave_up = ended.signal in (signal.SIGABRT, signal.SIGTRAP, signal.SIGILL)
    could_not_go_on = ended.exit_code == os.EX_SOFTWARE
    return (gave_up or could_not_go_on) and ended.peak_memory_bytes >= limits.memory_bytes // 2

"""The template process: `python -m activities.sandbox.template CONTROL_DESCRIPTOR MODULE…`.

It loads the named modules once, in one thread, and then forks a child for every job that comes over
the control socket. It reads no document itself. When the socket's other end closes, because the
worker ended or died, it kills its children and ends.
"""

import ctypes
import gc
import importlib
import os
import resource
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pydantic import BaseModel, TypeAdapter

from activities.sandbox import confinement, registry
from activities.sandbox.calls import Ended, Job, Kill, Ready
from activities.sandbox.child import serve_job
from activities.sandbox.session import stand_back

TORCH_VARIABLE = "MUNIMENT_SANDBOX_TORCH"
"""In the environment of a template whose engines need what others are better without."""
CONTROL_MESSAGE_BYTES = 65_536
_HUGE_PAGE_BYTES = 2 * 1024 * 1024
_MADV_COLLAPSE = 25
DESCRIPTORS_PER_JOB = 3

_MESSAGE: TypeAdapter[Job | Kill] = TypeAdapter(Job | Kill)


class Template:
    """The loop that forks, kills and reaps."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._children: dict[int, Job] = {}
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)

    def serve(self) -> None:
        """Returns when the worker is gone and every child is dead."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake_read, selectors.EVENT_READ)
            self._send(Ready(threads=_thread_count()))
            while self._turn({key.fd for key, _ in selector.select()}):
                pass
        for process_id in self._children:
            _kill_group(process_id)

    def _turn(self, readable: set[int]) -> bool:
        if self._wake_read in readable:
            with suppress(BlockingIOError):
                os.read(self._wake_read, 4096)
            self._reap()
        if self._control.fileno() in readable:
            data, descriptors, _, _ = socket.recv_fds(
                self._control, CONTROL_MESSAGE_BYTES, DESCRIPTORS_PER_JOB
            )
            if not data:
                return False
            self._obey(data, descriptors)
        return True

    def _obey(self, data: bytes, descriptors: Sequence[int]) -> None:
        message = _MESSAGE.validate_json(data)
        if isinstance(message, Kill):
            for process_id, job in self._children.items():
                if job.call == message.kill:
                    _kill_group(process_id)
            return
        template_process_id = os.getpid()
        process_id = os.fork()
        if process_id == 0:
            self._become_child(message, descriptors, template_process_id)
        for descriptor in descriptors:
            os.close(descriptor)
        self._children[process_id] = message

    def _become_child(
        self, job: Job, descriptors: Sequence[int], template_process_id: int
    ) -> NoReturn:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._control.close()
            serve_job(job, descriptors, template_process_id)
        finally:
            # Whatever happened: nothing of the template's may run on in a child.
            os._exit(os.EX_SOFTWARE)

    def _reap(self) -> None:
        """Reports every child that ended, after its group's last process was killed."""
        while self._children:
            # Left unreaped at first: until then no other process can bear its number.
            state = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if state is None:
                return
            _kill_group(state.si_pid)
            _, status, usage = os.wait4(state.si_pid, 0)
            job = self._children.pop(state.si_pid, None)
            if job is not None:
                self._send(_ended(job, status, usage))

    def _send(self, message: BaseModel) -> None:
        # A worker that died meanwhile shows as the end of the socket at the next turn.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._control.send(message.model_dump_json().encode())


def _ended(job: Job, status: int, usage: resource.struct_rusage) -> Ended:
    killed = os.WIFSIGNALED(status)
    kilobyte = 1 if sys.platform == "darwin" else 1024
    return Ended(
        ended=job.call,
        exit_code=None if killed else os.WEXITSTATUS(status),
        signal=os.WTERMSIG(status) if killed else None,
        peak_memory_bytes=usage.ru_maxrss * kilobyte,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
    )


def _kill_group(process_id: int) -> None:
    for kill in (os.killpg, os.kill):
        with suppress(ProcessLookupError, PermissionError):
            kill(process_id, signal.SIGKILL)


def _thread_count() -> int:
    """Forking is sound with one thread only."""
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1


def _refuse_unwanted() -> None:
    """docling's backends import torch when it is installed: 650 MB that nothing here uses. OpenVINO
    imports what would write below the home directory and call a collector."""
    for name in ("torch", "transformers", "openvino_telemetry"):
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to refuse one


def _settle() -> None:
    """Leaves little for children to copy: garbage freed, the rest out of the collector's sight."""
    gc.collect()
    gc.freeze()
    gc.enable()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        with suppress(AttributeError):  # musl has no malloc_trim
            libc.malloc_trim(0)
        _join_pages(libc)


def _join_pages(libc: ctypes.CDLL) -> None:
    """Puts what was loaded into huge pages as far as it lies in one piece: a fork copies one entry for
    each page. A kernel that knows no such request, or has no room, leaves them as they are."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, access, _, _, file, *name = line.split(maxsplit=5)
        begin, end = (int(address, 16) for address in span.split("-"))
        begin, end = (
            -(-begin // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES,
            end // _HUGE_PAGE_BYTES * _HUGE_PAGE_BYTES,
        )
        if access == "rw-p" and file == "0" and end > begin and name in ([], ["[heap]"]):
            libc.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), _MADV_COLLAPSE)


def main(arguments: Sequence[str]) -> int:
    """Serves until the worker is gone."""
    descriptor, *modules = arguments
    control = socket.socket(fileno=int(descriptor))
    if TORCH_VARIABLE not in os.environ:
        _refuse_unwanted()
    gc.disable()  # next to nothing of what loading makes is garbage: looking costs a sixth more
    for module in modules:
        importlib.import_module(module)
    registry.warm_all()
    confinement.prepare()
    _settle()
    threads = _thread_count()
    if threads != 1:
        sys.stderr.write(f"The sandbox's template has {threads} threads and cannot fork safely.\n")
        return 1
    # And with it every child; the worker, which holds rows of the database, not.
    stand_back(os.getpid())
    Template(control).serve()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

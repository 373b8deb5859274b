"""The worker's end of the template process: start, submit, kill, and learn how calls ended."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic import TypeAdapter

from activities.sandbox.calls import Ended, Job, Kill, Ready
from activities.sandbox.limits import MEBIBYTE
from muniment.errors import EngineCrashed

CONTROL_MESSAGE_BYTES = 4096
SEND_RETRY_SECONDS = 0.005

_ENVIRONMENT: Mapping[str, str] = MappingProxyType(
    {
        # One thread: a process with more cannot be forked safely.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "1",
        # Huge pages for the heap, where the kernel leaves it to the program (`madvise`): forking
        # takes half as long, and a child's first touch of its memory a third less.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        # Keeps what a page's models let go of for the next use: an eighth of OCR's time went into
        # handing it back to the kernel and having it zeroed anew. It ends with the child.
        "MALLOC_MMAP_THRESHOLD_": str(32 * MEBIBYTE),
        "MALLOC_TRIM_THRESHOLD_": str(256 * MEBIBYTE),
        # Without this ONNX Runtime starts a telemetry thread and writes below the home directory.
        "ORT_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
    }
)
_INHERITED = ("PATH", "LANG", "LC_ALL", "TZ", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH")
"""All that the template gets to know of the worker's environment: secrets stay behind."""

_MESSAGE: TypeAdapter[Ready | Ended] = TypeAdapter(Ready | Ended)


class TemplateProcess:
    """One running template. It is not restarted here: when it died, `died` is done."""

    def __init__(
        self, preload: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`environment` adds to what every template is given."""
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.died: asyncio.Future[None] = loop.create_future()
        self._loop = loop
        self._last_call = 0
        self._ends: dict[int, asyncio.Future[Ended]] = {}
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-W", "ignore", "-m", "activities.sandbox.template"),
                    *(str(theirs.fileno()), *preload),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                # One for all its engines, which stands back: Linux shares the cores among sessions first.
                # And of no terminal: neither Ctrl-C nor a child reaches the one that we may have.
                start_new_session=True,
                pass_fds=[theirs.fileno()],
                env={**_inherited_environment(), **_ENVIRONMENT, **environment},
            )
        self._control.setblocking(False)
        loop.add_reader(self._control.fileno(), self._receive)

    @property
    def pid(self) -> int:
        return self._process.pid

    def next_call(self) -> int:
        """A number for a call, unused so far."""
        self._last_call += 1
        return self._last_call

    async def submit(self, job: Job, descriptors: Sequence[int]) -> None:
        """Starts a call; EngineCrashed when the template is gone."""
        self._ends[job.call] = self._loop.create_future()
        message = job.model_dump_json().encode()
        while True:
            try:
                socket.send_fds(self._control, [message], list(descriptors))
                return
            except BlockingIOError:
                await asyncio.sleep(SEND_RETRY_SECONDS)
            except OSError as error:
                self.forget(job.call)
                raise EngineCrashed("The sandbox's template process is gone.") from error

    def end_of(self, call: int) -> asyncio.Future[Ended]:
        """Done when the call's process is gone; EngineCrashed when the template died with it."""
        return self._ends[call]

    def forget(self, call: int) -> None:
        """The caller wants to know nothing more of this call."""
        end = self._ends.pop(call, None)
        if end is not None and end.done() and not end.cancelled():
            end.exception()  # marks it as seen

    def kill(self, call: int) -> None:
        """Kills the call's process group: by the template, its parent, which alone knows for sure
        that the process number still belongs to it."""
        try:
            self._control.send(Kill(kill=call).model_dump_json().encode())
        except OSError:
            # A template that takes no message is dead, or so stuck that only its death helps; its
            # children die with it.
            self._process.kill()

    async def close(self) -> None:
        """Ends the template and with it every call."""
        self._process.kill()
        await asyncio.to_thread(self._process.wait)
        self._lost()

    def _receive(self) -> None:
        try:
            data = self._control.recv(CONTROL_MESSAGE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost()
            return
        message = _MESSAGE.validate_json(data)
        if isinstance(message, Ready):
            if not self.ready.done():
                self.ready.set_result(None)
            return
        end = self._ends.get(message.ended)
        if end is not None and not end.done():
            end.set_result(message)

    def _lost(self) -> None:
        """The template is gone: so are its children, which are bound to its life."""
        if self._control.fileno() == -1:
            return
        self._loop.remove_reader(self._control.fileno())
        self._control.close()
        self._process.kill()
        if not self.died.done():
            self.died.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(EngineCrashed("The sandbox's template did not start."))
            self.ready.exception()  # marks it as seen: perhaps nobody waits
        for end in self._ends.values():
            if not end.done():
                end.set_exception(EngineCrashed("The sandbox's template died during the call."))


def _inherited_environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}

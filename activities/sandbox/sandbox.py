"""Runs engine calls, each in a child process of its own, bounded in number and by limits."""

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import BinaryIO, Self, TypeVar

from pydantic import BaseModel

from activities.sandbox.answer import Answer, AnswerReader
from activities.sandbox.calls import Ended, EngineCall, Job
from activities.sandbox.failures import error_of_end, error_of_failure
from activities.sandbox.frames import decoded
from activities.sandbox.limits import Limits
from activities.sandbox.supervision import TemplateSupervisor
from activities.sandbox.template_process import TemplateProcess
from muniment.errors import EngineTimedOut

ResponseT = TypeVar("ResponseT", bound=BaseModel)

OnProgress = Callable[[bytes], Awaitable[None]]

KILL_GRACE_SECONDS = 5.0
"""How long a killed child may take to be reaped: milliseconds, unless the host itself is dying."""


class Sandbox:
    """At most `concurrency` engine calls at once; further ones wait for a slot.

    An async context manager: entering starts the template process without waiting for it (it loads
    for several seconds; the first call waits), leaving ends every process. `preload` names the
    modules that register engines; `environment` adds to what their process is given. With `at_need`
    the template process is started by the first call instead, for engines that few calls ask for.
    """

    def __init__(
        self,
        *,
        concurrency: int,
        preload: Sequence[str],
        environment: Mapping[str, str] = MappingProxyType({}),
        at_need: bool = False,
    ) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._supervisor = TemplateSupervisor(preload, environment, at_need=at_need)

    async def __aenter__(self) -> Self:
        self._supervisor.start()
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._supervisor.close()

    async def ready(self) -> None:
        """Returns once calls are served at once; EngineCrashed when the template cannot start."""
        await self._supervisor.template()

    async def run(
        self,
        call: EngineCall[ResponseT],
        *,
        content: Path | bytes | None = None,
        limits: Limits | None = None,
        on_progress: OnProgress | None = None,
    ) -> ResponseT:
        """The engine's response.

        `content` is the document: a file, opened here, or bytes. `on_progress` gets every reported
        intermediate result as JSON, in order; the engine works on meanwhile. Raises the engine's
        own DocumentError, LimitExceeded when the answer outgrows its limit, EngineTimedOut,
        EngineOutOfMemory or EngineCrashed. When the awaiting task is cancelled, the child is killed
        and gone before CancelledError leaves here.
        """
        limits = limits or Limits()
        async with self._slots:
            template = await self._supervisor.template()
            call_id = template.next_call()
            job = Job(
                call=call_id,
                engine=call.engine,
                has_content=content is not None,
                cpu_seconds=limits.cpu_seconds,
                memory_bytes=limits.memory_bytes,
                open_files=limits.open_files,
                written_bytes=limits.written_bytes,
            )
            answer, ended = await _follow(template, job, call.request, content, limits, on_progress)
            if answer.failure is not None:
                raise error_of_failure(answer.failure)
            if answer.result is None:
                raise error_of_end(ended, limits)
            return decoded(call.response, answer.result)


async def _follow(
    template: TemplateProcess,
    job: Job,
    request: BaseModel,
    content: Path | bytes | None,
    limits: Limits,
    on_progress: OnProgress | None,
) -> tuple[Answer, Ended]:
    """Submits the job and follows it to its end; whatever happens, the child is gone after."""
    reader = await _submit(template, job, request, content, limits)
    ended = template.end_of(job.call)
    try:
        async with asyncio.timeout(limits.wall_seconds) as deadline:
            answer = await reader.read(on_progress)
            return answer, await asyncio.shield(ended)
    except TimeoutError:
        if not deadline.expired():
            raise
        raise EngineTimedOut(
            f"The engine {job.engine} ran past its limit of {limits.wall_seconds:g} s."
        ) from None
    finally:
        reader.close()
        if not ended.done():
            template.kill(job.call)
            await asyncio.wait({ended}, timeout=KILL_GRACE_SECONDS)
        template.forget(job.call)


async def _submit(
    template: TemplateProcess,
    job: Job,
    request: BaseModel,
    content: Path | bytes | None,
    limits: Limits,
) -> AnswerReader:
    """Hands the job over with its descriptors; ours are closed, but for the end that we read."""
    with ExitStack() as ours:
        request_file = ours.enter_context(_memory_file(request.model_dump_json().encode()))
        descriptors = [request_file.fileno()]
        if content is not None:
            content_file = ours.enter_context(_open_content(content))
            descriptors.append(content_file.fileno())
        read_end, write_end = os.pipe()
        ours.callback(os.close, write_end)
        reader = AnswerReader(read_end, limits.output_bytes)
        try:
            await template.submit(job, [*descriptors, write_end])
        except BaseException:
            reader.close()
            raise
        return reader


def _open_content(content: Path | bytes) -> BinaryIO:
    return _memory_file(content) if isinstance(content, bytes) else content.open("rb")


def _memory_file(data: bytes) -> BinaryIO:
    """An anonymous file that holds `data`, at position 0; in memory where the system can."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("muniment", os.MFD_CLOEXEC)
    else:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
    file = os.fdopen(descriptor, "w+b")
    file.write(data)
    file.flush()
    file.seek(0)
    return file

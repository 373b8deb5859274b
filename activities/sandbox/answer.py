"""Reads an engine's answer from its pipe, frame by frame and up to a limit.

A frame is a line: a word (`progress`, `result` or `failure`), a space, and JSON without line breaks.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from activities.sandbox.calls import Failure
from activities.sandbox.frames import decoded
from activities.sandbox.limits import MEBIBYTE
from muniment.errors import EngineCrashed, LimitExceeded

PROGRESS = b"progress"
RESULT = b"result"
FAILURE = b"failure"


@dataclass(slots=True)
class Answer:
    """What an engine said in the end; neither when its process died first."""

    result: bytes | None = None
    failure: Failure | None = None


class AnswerReader:
    """Owns the pipe's reading end. Nothing is decoded but the word before a frame."""

    def __init__(self, descriptor: int, limit_bytes: int) -> None:
        self._descriptor: int | None = descriptor
        self._limit_bytes = limit_bytes
        self._received_bytes = 0
        os.set_blocking(descriptor, False)

    async def read(self, on_progress: Callable[[bytes], Awaitable[None]] | None) -> Answer:
        """Follows the answer until the engine closes the pipe; LimitExceeded past the limit, after
        every frame that ends before it."""
        answer = Answer()
        pending: list[bytes] = []
        while chunk := await self._next_chunk():
            left = self._limit_bytes - self._received_bytes
            self._received_bytes += len(chunk)
            *lines, rest = chunk[:left].split(b"\n")
            for line in lines:
                frame = b"".join([*pending, line])
                pending.clear()
                await _take(frame, answer, on_progress)
            if len(chunk) > left:
                raise LimitExceeded(
                    f"What the engine made of the document exceeds {self._limit_bytes:,} bytes."
                )
            pending.append(rest)
        return answer

    def close(self) -> None:
        """Lets go of the pipe; more than once does no harm."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    async def _next_chunk(self) -> bytes:
        if self._descriptor is None:
            return b""
        while True:
            try:
                return os.read(self._descriptor, MEBIBYTE)
            except BlockingIOError:
                await self._readable(self._descriptor)

    @staticmethod
    async def _readable(descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        readable: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not readable.done():
                readable.set_result(None)

        loop.add_reader(descriptor, wake)
        try:
            await readable
        finally:
            loop.remove_reader(descriptor)


async def _take(
    frame: bytes, answer: Answer, on_progress: Callable[[bytes], Awaitable[None]] | None
) -> None:
    word, _, body = frame.partition(b" ")
    if word == PROGRESS:
        if on_progress is not None:
            await on_progress(body)
    elif word == RESULT:
        answer.result = body
    elif word == FAILURE:
        answer.failure = decoded(Failure, body)
    else:
        raise EngineCrashed("The engine wrote something that is no frame of an answer.")

"""A viewer of a job's events that costs its machine little, so that a thousand of them fit on one."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from urllib.parse import urlsplit

from bench.doors import Refused
from bench.stack import Stack

_LONGEST_LINE_BYTES = 1024 * 1024
_CONNECT_SECONDS = 60


@dataclass
class Viewer:
    """Follows one job; goes on behind what it saw when it is asked again."""

    job_id: str
    seen: list[int] = field(default_factory=list)
    """The ids that came, in order."""
    is_over: bool = False
    """Whether the job's end was among them."""

    @property
    def lost(self) -> int:
        """How many ids are missing between those that came, or came again."""
        return sum(later != earlier + 1 for earlier, later in pairwise(self.seen))

    async def look(self, stack: Stack) -> AsyncGenerator[str, None]:
        """The names of the events, as they come, to the end of the stream. Raises Refused."""
        reader, writer = await _open(stack)
        try:
            writer.write(self._request(stack))
            await _require_stream(reader)
            async for event_id, event in _events(reader):
                self.seen.append(event_id)
                self.is_over = event == "end"
                yield event
                if self.is_over:
                    return
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def _request(self, stack: Stack) -> bytes:
        lines = [
            f"GET /v1/jobs/{self.job_id}/events HTTP/1.1",
            f"Host: {urlsplit(stack.api).netloc}",
            f"Authorization: Bearer {stack.key}",
            "Connection: close",
        ]
        if self.seen:
            lines.append(f"Last-Event-ID: {self.seen[-1]}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _open(stack: Stack) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = urlsplit(stack.api)
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await asyncio.open_connection(place.hostname, place.port, limit=_LONGEST_LINE_BYTES)


async def _require_stream(reader: asyncio.StreamReader) -> None:
    status = (await reader.readline()).decode().strip()
    while (await reader.readline()).strip():
        pass
    if status.split()[1:2] != ["200"]:
        problem = (await reader.read()).decode()
        raise Refused(f"the event stream: {status or 'no answer'} {problem}")


async def _events(reader: asyncio.StreamReader) -> AsyncGenerator[tuple[int, str], None]:
    """Ids and names of events that came whole. Sizes of chunks (RFC 9112, 7.1) stand on lines of their
    own: an event is sent in one piece."""
    event_id, event = 0, ""
    while line := await reader.readline():
        name, _, value = line.decode().strip().partition(": ")
        if name == "id":
            event_id = int(value)
        elif name == "event":
            event = value
        elif event and not line.strip():
            yield event_id, event
            event = ""

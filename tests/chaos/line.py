"""A line between two processes that can be cut, fall silent, or become slow."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

PIECE_BYTES = 16 * 1024
START_SECONDS = 10


class Line:
    """A TCP relay on 127.0.0.1 before a server at a socket's path or host:port. It runs on a thread of
    its own; whoever tests turns its knobs from another."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._listening: asyncio.Server | None = None
        self._visits: set[asyncio.Task[None]] = set()
        self._ends: set[asyncio.StreamWriter] = set()
        self._is_whole = True
        self._carries = asyncio.Event()
        self._carries.set()
        self.port = 0
        self.latency_seconds = 0.0
        """Of each piece."""
        self.bytes_per_second: float | None = None
        """In either direction of each connection."""

    def cut(self) -> None:
        """Breaks off what is connected, and whatever connects until it is mended."""
        self._is_whole = False
        self._loop.call_soon_threadsafe(self._break_off)

    def fall_silent(self) -> None:
        """Goes on taking connections and bytes, as far as buffers reach, and carries none of them."""
        self._loop.call_soon_threadsafe(self._carries.clear)

    def mend(self) -> None:
        self._is_whole, self.latency_seconds, self.bytes_per_second = True, 0.0, None
        self._loop.call_soon_threadsafe(self._carries.set)

    async def open(self) -> None:
        self._listening = await asyncio.start_server(self._visit, "127.0.0.1", self.port)
        self.port = int(self._listening.sockets[0].getsockname()[1])

    async def close(self) -> None:
        assert self._listening is not None
        self._listening.close()
        for visit in self._visits:
            visit.cancel()
        await asyncio.gather(*self._visits, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._visits)

    def run(self) -> None:
        self._loop.run_forever()
        self._loop.close()

    def wait_for(self, step: "asyncio._CoroutineLike[None]") -> None:
        """Has the line's thread take the step."""
        asyncio.run_coroutine_threadsafe(step, self._loop).result(START_SECONDS)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _break_off(self) -> None:
        for end in self._ends:
            end.transport.abort()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = asyncio.current_task()
        assert visit is not None
        self._visits.add(visit)
        ends = [writer]
        try:
            with suppress(OSError):
                if self._is_whole:
                    far_reader, far_writer = await self._connect()
                    ends.append(far_writer)
                    self._ends.update(ends)
                    await asyncio.gather(
                        self._carry(reader, far_writer), self._carry(far_reader, writer)
                    )
        finally:
            self._ends.difference_update(ends)
            for end in ends:
                end.transport.abort()
            self._visits.discard(visit)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._server.startswith("/"):
            return await asyncio.open_unix_connection(self._server)
        host, _, port = self._server.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the reader's side has ended, which the writer's side is told."""
        try:
            while piece := await reader.read(PIECE_BYTES):
                await asyncio.sleep(self.latency_seconds)
                if self.bytes_per_second is not None:
                    await asyncio.sleep(len(piece) / self.bytes_per_second)
                await self._carries.wait()
                writer.write(piece)
                await writer.drain()
            writer.write_eof()
        except OSError:
            writer.transport.abort()


@contextmanager
def line_to(server: str) -> Iterator[Line]:
    """A line that carries everything, until somebody does something to it."""
    line = Line(server)
    thread = threading.Thread(target=line.run)
    thread.start()
    try:
        line.wait_for(line.open())
        try:
            yield line
        finally:
            line.wait_for(line.close())
    finally:
        line.stop()
        thread.join()

"""Names are resolved in threads of their own: whoever has a name that is answered late, or never, takes
those and none that other work of the process waits for."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host; OSError where it has none."""


class SystemResolver:
    """The system's, in up to so many threads. A look-up that nobody waits for any more keeps its thread
    until the system gives it up; one that has none yet is dropped."""

    def __init__(self, max_threads: int) -> None:
        self._threads = ThreadPoolExecutor(max_threads, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return [str(each[4][0]) for each in found]

    def close(self) -> None:
        """Waits for no look-up."""
        self._threads.shutdown(wait=False, cancel_futures=True)

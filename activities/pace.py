"""How fast work in the background reads and writes."""

import asyncio


class Pace:
    """So many bytes a second for all who share it, in one event loop."""

    def __init__(self, bytes_per_second: int) -> None:
        self._bytes_per_second = bytes_per_second
        self._free_at = 0.0

    async def take(self, count: int) -> None:
        """Returns once those bytes are within the pace."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + count / self._bytes_per_second
        await asyncio.sleep(self._free_at - now)

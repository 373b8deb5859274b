"""What a measurement costs its own machine: who was slow, the server or the client?"""

import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from bench.results import Result

_GLANCE_SECONDS = 0.05


@asynccontextmanager
async def costs(home: Path, name: str) -> AsyncGenerator[None, None]:
    """Prints, when the block is over, how late this process came to its own events (p99), and the
    seconds of a core that it and the API's processes took. What is late here is in every figure of the
    client."""
    api, own = api_processes(home), psutil.Process()
    before = [*map(cpu_seconds, api)], cpu_seconds(own)
    late: list[float] = []
    watching = asyncio.create_task(_watch(late))
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    Result(f"{name}.own_lag_p99", statistics.quantiles(late, n=100)[-1], "s").print()
    Result(f"{name}.own_cpu", cpu_seconds(own) - before[1], "s").print()
    took = [cpu_seconds(each) - first for each, first in zip(api, before[0], strict=True)]
    Result(f"{name}.api_cpu", sum(took), "s").print()
    Result(f"{name}.api_cpu_of_the_busiest", max(took), "s").print()
    Result(f"{name}.load", os.getloadavg()[0], "processes").print()


def api_processes(home: Path) -> list[psutil.Process]:
    """All that serve an embedded stack's API."""
    files = sorted((home / "run").glob("api*.pid"))
    return [psutil.Process(int(file.read_text(encoding="utf-8").split()[0])) for file in files]


async def _watch(late: list[float]) -> None:
    while True:
        started = time.perf_counter()
        await asyncio.sleep(_GLANCE_SECONDS)
        late.append(time.perf_counter() - started - _GLANCE_SECONDS)


def cpu_seconds(process: psutil.Process) -> float:
    """Of a core, since it was started."""
    times = process.cpu_times()
    return float(times.user + times.system)

"""Ingestions in a row on a whole stack: the memory of its processes must stay where it was after the
first hundred."""

import asyncio
import sys
import time
from collections.abc import Mapping, Sequence

from bench.memory import growth, not_flat, owned_mebibytes
from bench.results import Result, note
from bench.small_files import SmallFile, small_file
from bench.stack import Stack
from muniment.client import AsyncMuniment
from muniment.contracts.jobs import JobState
from muniment.task_group import task_group

_GROUP = 100
_IN_FLIGHT = 4
_MOST_SECONDS = 900
"""A file's ingestion, on a machine with much else to do."""
_SETTLE_SECONDS = 5
WATCHED = ("worker-io", "worker-cpu", "worker-cpu template")
"""Whose memory has to be flat; the others' is shown."""


async def measure_soak(stack: Stack, file_count: int) -> bool:
    """Prints a table and a result for each process; whether those watched are flat and every file
    came to the end that it should."""
    samples: list[dict[str, float]] = []
    wrong = 0
    started = time.perf_counter()
    async with AsyncMuniment(home=stack.home) as muniment:
        for first in range(0, file_count, _GROUP):
            files = [small_file(number) for number in range(first, min(first + _GROUP, file_count))]
            wrong += await _ingest(muniment, files)
            await asyncio.sleep(_SETTLE_SECONDS)
            samples.append(await asyncio.to_thread(owned_mebibytes, stack.home))
            note(f"soak: {first + len(files)} files, {time.perf_counter() - started:.0f} s")
    seconds = time.perf_counter() - started
    _print_table(samples)
    Result("soak.files_per_second", file_count / seconds, "files/s").print()
    Result("soak.wrong_ends", wrong, "count").print()
    for name in samples[-1]:
        Result(
            f"soak.growth {name}", growth([sample.get(name, 0) for sample in samples]), ""
        ).print()
    grown = not_flat(samples, WATCHED)
    for name, share in grown.items():
        note(f"soak: {name} is not flat: {share:+.1%} since the first {_GROUP} files")
    return not grown and wrong == 0


async def _ingest(muniment: AsyncMuniment, files: Sequence[SmallFile]) -> int:
    """How many ended otherwise than they should."""
    window = asyncio.Semaphore(_IN_FLIGHT)

    async def one(file: SmallFile) -> bool:
        async with window, asyncio.timeout(_MOST_SECONDS):
            ended = await _end_of(muniment, file)
        is_right = ended == (JobState.COMPLETED if file.is_readable else JobState.FAILED)
        if not is_right:
            note(f"soak: {file.name} ended as {ended}")
        return is_right

    async with task_group() as tasks:
        ended = [tasks.create_task(one(file)) for file in files]
    return sum(not each.result() for each in ended)


async def _end_of(muniment: AsyncMuniment, file: SmallFile) -> str:
    uploaded = await muniment.upload(file.content, name=file.name)
    if uploaded.job is None:
        raise RuntimeError(f"{file.name} was there before")
    job = uploaded.job
    async for changed in muniment.follow(job):
        job = changed
    return job.state


def _print_table(samples: Sequence[Mapping[str, float]]) -> None:
    """MiB of each process after each group, on standard error."""
    names = sorted({name for sample in samples for name in sample})
    width = max(map(len, names))
    for name in names:
        sizes = "".join(f"{sample.get(name, 0):8.0f}" for sample in samples)
        sys.stderr.write(f"{name:{width}}{sizes}\n")

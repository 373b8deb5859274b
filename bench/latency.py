"""Upload to `ready` of a one-page text file, beside the bare engines and an empty workflow."""

import asyncio
import statistics
import time
from collections.abc import Awaitable

from temporalio.client import Client

from bench.bare import bare_engines
from bench.corpus import one_page_text
from bench.empty_workflow import activities_of, empty_workflows
from bench.results import Result, note
from bench.stack import Stack
from muniment.client import AsyncMuniment, Job
from muniment.contracts.jobs import JobState

_WARM_UP = 15
_IN_A_ROW = 5
"""Each of the three runs so often in a row, so that it is measured warm and not after the others
have taken its place in the caches; groups alternate."""
_CONNECT_SECONDS = 30


async def measure_latency(stack: Stack, runs: int) -> None:
    """Prints the ratio that counts and its two parts: medians over groups in which each of the three
    has its turn, so that a busier minute of the machine falls on all of them."""
    note(f"latency: {runs} runs of a one-page text on a warm stack")
    client = await asyncio.wait_for(
        Client.connect(stack.temporal_address, namespace=stack.namespace), _CONNECT_SECONDS
    )
    ours, engines, empty = list[float](), list[float](), list[float]()
    async with (
        AsyncMuniment(home=stack.home) as muniment,
        bare_engines() as bare,
        empty_workflows(client) as run_empty,
    ):
        job = await _upload_to_ready(muniment, one_page_text(0), "register-0.txt")
        activities = await activities_of(client, job.workflow_id or "")
        texts = [(one_page_text(n), f"register-{n}.txt") for n in range(1, 1 + _WARM_UP + runs)]
        for start in range(0, len(texts), _IN_A_ROW):
            group = texts[start : start + _IN_A_ROW]
            for content, name in group:
                ours.append(await _seconds(_upload_to_ready(muniment, content, name)))
            for content, name in group:
                engines.append(await _seconds(bare.ingest(content, name)))
            for _ in group:
                empty.append(await _seconds(run_empty(activities)))
    peer = _median(engines) + _median(empty)
    Result("latency.upload_to_ready", _median(ours), "s", peer=peer).print()
    Result("latency.bare_engines", _median(engines), "s").print()
    Result("latency.empty_workflow", _median(empty), "s").print()
    Result("latency.activities", len(activities), "count").print()


async def _upload_to_ready(muniment: AsyncMuniment, content: bytes, name: str) -> Job:
    file = await muniment.upload(content, name=name)
    if file.job is None:
        raise RuntimeError("the upload made no job")
    job = file.job
    async for changed in muniment.follow(job):
        job = changed
    if job.state != JobState.COMPLETED:
        raise RuntimeError(f"the job ended as {job.state}")
    return job


async def _seconds(work: Awaitable[object]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def _median(times: list[float]) -> float:
    """Without the first rounds, which load what the others find loaded."""
    return statistics.median(times[_WARM_UP:])

"""A thousand viewers of one job: what they cost Temporal, and whether each sees every event once."""

import asyncio
import io
import time
import urllib.request

from PIL import Image
from prometheus_client.parser import text_string_to_metric_families

from bench.costs import api_processes
from bench.event_stream import Viewer
from bench.results import Result, note
from bench.small_files import SmallFile, small_file
from bench.stack import Stack
from muniment.client import AsyncMuniment, Job
from muniment.task_group import task_group

VIEWERS = 1000
_PAGES = 8
_A_PICTURE = 11
"""The number of a small file that is a picture."""
_MOST_SECONDS = 900
_OPENING_AT_ONCE = 50
_HTTP_SECONDS = 30
_OF_RESUMING = 1
"""The answer to whoever has the job go on shows it as it is then."""
_REPORT_SECONDS = 3.0
"""Temporal's counters are told once a second."""
QUERIES_PER_SECOND = 2
"""What one API process may ask of Temporal about one job, however many look on."""


async def measure_viewers(stack: Stack) -> bool:
    """Prints the queries that Temporal was asked while the viewers came and looked on; whether they
    were one stream, and every viewer saw every event to the end."""
    note(f"viewers: {VIEWERS} viewers of one job")
    async with AsyncMuniment(home=stack.home) as muniment:
        job = await _paused_job(muniment)
        viewers = [Viewer(str(job.id)) for _ in range(VIEWERS)]
        before = await _queries(stack)
        started = time.perf_counter()
        async with asyncio.timeout(_MOST_SECONDS), task_group() as tasks:
            opening = asyncio.Semaphore(_OPENING_AT_ONCE)
            arrived = asyncio.Semaphore(0)
            for viewer in viewers:
                tasks.create_task(_follow(stack, viewer, opening, arrived))
            for _ in viewers:
                await arrived.acquire()
            seconds = time.perf_counter() - started
            queries = await _queries(stack) - before
            await muniment.jobs.resume(job.id)
        following = await _queries(stack) - before - queries
    return judge(viewers, seconds, queries, following, len(api_processes(stack.home)))


async def _paused_job(muniment: AsyncMuniment) -> Job:
    """Of pages that have to be read by OCR, so that there is time to pause it."""
    content = await asyncio.to_thread(_pictures)
    file = await muniment.upload(content.content, name=content.name)
    if file.job is None:
        raise RuntimeError("the upload made no job")
    return await muniment.jobs.pause(file.job.id)


def _pictures() -> SmallFile:
    """A PDF whose pages are pictures of a text."""
    with Image.open(io.BytesIO(small_file(_A_PICTURE).content)) as page:
        made = io.BytesIO()
        page.save(made, "PDF", save_all=True, append_images=[page] * (_PAGES - 1))
    return SmallFile("viewed.pdf", made.getvalue())


async def _follow(
    stack: Stack, viewer: Viewer, opening: asyncio.Semaphore, arrived: asyncio.Semaphore
) -> None:
    """To the job's end; `opening` is held until the snapshot has come."""
    await opening.acquire()
    try:
        async for event in viewer.look(stack):
            if event == "snapshot":
                opening.release()
                arrived.release()
    except BaseException:
        arrived.release()
        raise


async def _queries(stack: Stack) -> int:
    """How many workflow queries Temporal's frontend has taken since it was started."""
    await asyncio.sleep(_REPORT_SECONDS)
    text = await asyncio.to_thread(_metrics, stack.temporal_metrics)
    return sum(
        int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "service_requests_total"
        and sample.labels.get("operation") == "QueryWorkflow"
        and sample.labels.get("service_name") == "frontend"
    )


def _metrics(address: str) -> str:
    with urllib.request.urlopen(address, timeout=_HTTP_SECONDS) as answer:  # noqa: S310 - our own stack's
        text: str = answer.read().decode()
    return text


def judge(
    viewers: list[Viewer], seconds: float, queries: int, following: int, processes: int
) -> bool:
    """Prints what came of it; `processes` are those of the API, each of which asks for itself."""
    lost = sum(viewer.lost for viewer in viewers)
    left = sum(not viewer.is_over for viewer in viewers)
    allowed = processes * (1 + QUERIES_PER_SECOND * seconds)
    Result("viewers.queries", queries, "count", peer=len(viewers)).print()
    Result("viewers.opened_in", seconds, "s").print()
    Result("viewers.queries_while_following", following, "count").print()
    Result("viewers.lost_events", lost, "count").print()
    Result("viewers.without_end", left, "count").print()
    return (
        0 < queries <= allowed and following <= processes * _OF_RESUMING and lost == 0 and left == 0
    )

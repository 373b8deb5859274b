"""Following thousands of jobs over one event stream, with polling beneath it.

One stream of the tenant's events brings nearly all news at once. Polling, a bounded number of jobs
at a time in turn, finds what it missed: an event that came before the upload was answered, a stream
that is down, a server that has none.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable
from itertools import islice

from muniment.cli.failures import problem_of_error
from muniment.cli.ingest.entry import Entry, Phase
from muniment.client.async_client import AsyncMuniment
from muniment.client.events import Event
from muniment.client.following import fold
from muniment.client.models import Job
from muniment.client.problems import ApiUnreachable
from muniment.errors import Forbidden, MunimentError, NotFound, Unauthenticated
from muniment.task_group import task_group

_POLLED_AT_ONCE = 8
_POLL_SECONDS = 0.5
_POLL_BESIDE_STREAM_SECONDS = 3.0
_MOST_EARLY_JOBS = 4096
MOST_FAILURES = 10
"""So often in a row a job may not be shown before its end counts as unknown."""


class JobFollower:
    """Tells `changed` about every change of the entries that were added, until they are over."""

    def __init__(self, muniment: AsyncMuniment, changed: Callable[[Entry], None]) -> None:
        self._muniment = muniment
        self._changed = changed
        self._entries: OrderedDict[str, list[Entry]] = OrderedDict()
        self._early: OrderedDict[str, Job] = OrderedDict()
        self._failures: Counter[str] = Counter()
        self._streams = False

    def add(self, entry: Entry) -> None:
        """Follows the entry's job; two files of the same content may share one."""
        if entry.job is None or entry.phase is not Phase.FOLLOWING:
            return
        job_id = str(entry.job.id)
        self._entries.setdefault(job_id, []).append(entry)
        early = self._early.pop(job_id, None)
        if early is not None:
            self._heard(job_id, early)

    async def run(self) -> None:
        """Never returns; the caller cancels it when all is over. Raises ApiUnreachable when the API is
        away for longer than the client's retries, Unauthenticated or Forbidden for the key: no other
        job would fare better. What the API answers of one job alone is that job's matter."""
        async with task_group() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._poll())

    async def _listen(self) -> None:
        """Reads the tenant's stream; where there is none, polling is quick enough alone."""
        try:
            async for event in self._muniment.events():
                self._streams = True
                self._take(event)
        except MunimentError:
            self._streams = False

    def _take(self, event: Event) -> None:
        job_id = event.job_id
        if job_id is None:
            return
        entries = self._entries.get(job_id)
        if entries:
            known = entries[0].job
            if known is not None:
                self._heard(job_id, fold(known, event))
        elif (job := event.job) is not None:
            self._early[job_id] = job
            while len(self._early) > _MOST_EARLY_JOBS:
                self._early.popitem(last=False)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(_POLL_BESIDE_STREAM_SECONDS if self._streams else _POLL_SECONDS)
            turn = list(islice(self._entries, _POLLED_AT_ONCE))
            async with task_group() as asked:
                for job_id in turn:
                    asked.create_task(self._ask(job_id))

    async def _ask(self, job_id: str) -> None:
        if job_id not in self._entries:
            return  # the stream was quicker
        self._entries.move_to_end(job_id)
        try:
            job = await self._muniment.jobs.get(job_id)
        except NotFound:
            # Erased while it was followed, or the key may no longer see it.
            for entry in self._entries.pop(job_id, []):
                self._gone(entry)
        except (ApiUnreachable, Unauthenticated, Forbidden):
            raise
        except MunimentError as error:
            self._failed(job_id, error)
        else:
            self._heard(job_id, job)

    def _failed(self, job_id: str, error: MunimentError) -> None:
        """It is asked again in its next turn, a bounded number of times."""
        self._failures[job_id] += 1
        if self._failures[job_id] < MOST_FAILURES:
            return
        for entry in self._entries.pop(job_id, []):
            entry.lost(problem_of_error(error))
            self._changed(entry)

    def _heard(self, job_id: str, job: Job) -> None:
        self._failures.pop(job_id, None)
        for entry in self._entries.get(job_id, []):
            before = (entry.phase, entry.job)
            entry.heard(job)
            if (entry.phase, entry.job) != before:
                self._changed(entry)
        entries = self._entries.get(job_id)
        if entries and all(entry.phase is Phase.OVER for entry in entries):
            del self._entries[job_id]

    def _gone(self, entry: Entry) -> None:
        entry.failed(problem_of_error(NotFound("the job is no longer there")))
        self._changed(entry)

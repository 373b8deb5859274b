"""What a job's stream opens with: the job as its workflow tells it."""

import asyncio
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from api.jobs.asking import ask
from api.jobs.facts import job_facts
from api.jobs.schemas import Job
from api.jobs.view import JobFacts, WorkflowLinks
from api.orchestrator import Orchestrator
from db.session import Access, Database

SHARED_SECONDS = 0.5
"""So long an answer serves viewers that come after it, unless an event was recorded meanwhile."""


@dataclass(frozen=True)
class Snapshot:
    """`seq` is that of the job's newest event, read before the workflow was asked: what the snapshot
    may know already comes again behind it, and nothing is left out."""

    job: Job
    seq: int


class Snapshots:
    """A query at a time and job, and two a second at most while nothing happens to the job: whatever
    the number of viewers, and whether they come together or one after another."""

    def __init__(self, database: Database, temporal: Orchestrator, links: WorkflowLinks) -> None:
        self._database = database
        self._temporal = temporal
        self._links = links
        self._newest: dict[UUID, asyncio.Task[Snapshot]] = {}

    async def take(self, facts: JobFacts) -> Snapshot:
        """Of the job whose row was read as `facts`; never older than that row."""
        job_id, seq = facts.record.id, facts.record.event_seq
        waited = False
        while True:
            task = self._newest.get(job_id)
            if task is None or _is_outdated(task, seq):
                # The row of whoever comes first is new; that of who waited is read again, so that it
                # serves all who waited with it.
                task = asyncio.create_task(self._take_anew(facts) if waited else self._take(facts))
                self._newest[job_id] = task
                task.add_done_callback(partial(self._forget_soon, job_id))
            # Shielded: a viewer that leaves does not take the others' snapshot along.
            snapshot = await asyncio.shield(task)
            if snapshot.seq >= seq:
                return snapshot
            waited = True

    async def _take_anew(self, facts: JobFacts) -> Snapshot:
        access = Access(facts.record.tenant_id)
        return await self._take(
            await job_facts(self._database, self._links, access, facts.record.id)
        )

    async def _take(self, facts: JobFacts) -> Snapshot:
        return Snapshot(await ask(self._temporal, facts), facts.record.event_seq)

    def _forget_soon(self, job_id: UUID, task: asyncio.Task[Snapshot]) -> None:
        if not task.cancelled():
            task.exception()  # looked at here: every viewer may have left meanwhile
        asyncio.get_running_loop().call_later(SHARED_SECONDS, self._forget, job_id, task)

    def _forget(self, job_id: UUID, task: asyncio.Task[Snapshot]) -> None:
        if self._newest.get(job_id) is task:
            del self._newest[job_id]


def _is_outdated(task: asyncio.Task[Snapshot], seq: int) -> bool:
    """Whether it failed, or was begun before the event of that number; one that runs is neither yet."""
    if not task.done():
        return False
    return task.cancelled() or task.exception() is not None or task.result().seq < seq

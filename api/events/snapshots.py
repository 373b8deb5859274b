"""What a job's stream opens with: the job as its workflow tells it."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

from api.jobs.asking import ask
from api.jobs.facts import job_facts
from api.jobs.schemas import Job
from api.jobs.view import JobFacts, WorkflowLinks
from api.orchestrator import Orchestrator
from db.session import Access, Database


@dataclass(frozen=True)
class Snapshot:
    """`seq` is that of the job's newest event, read before the workflow was asked: what the snapshot
    may know already comes again behind it, and nothing is left out."""

    job: Job
    seq: int


class Snapshots:
    """One query at a time and job, whatever the number of viewers."""

    def __init__(self, database: Database, temporal: Orchestrator, links: WorkflowLinks) -> None:
        self._database = database
        self._temporal = temporal
        self._links = links
        self._running: dict[UUID, asyncio.Task[Snapshot]] = {}

    async def take(self, facts: JobFacts) -> Snapshot:
        """Viewers that ask while a query runs share its answer."""
        job_id = facts.record.id
        task = self._running.get(job_id)
        if task is None:
            task = asyncio.create_task(self._take(Access(facts.record.tenant_id), job_id))
            self._running[job_id] = task
            task.add_done_callback(lambda _: self._running.pop(job_id, None))
        # Shielded: a viewer that leaves does not take the others' snapshot along.
        return await asyncio.shield(task)

    async def _take(self, access: Access, job_id: UUID) -> Snapshot:
        facts = await job_facts(self._database, self._links, access, job_id)
        return Snapshot(await ask(self._temporal, facts), facts.record.event_seq)

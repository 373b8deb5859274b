"""Follows event rows once for all viewers of a job, or of a tenant, in this process."""

import asyncio
import json
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import replace
from typing import Generic
from uuid import UUID

from pydantic import JsonValue

from api.events.subscription import PositionT, Subscription, Told
from api.jobs.facts import job_facts
from api.jobs.schemas import StageView
from api.jobs.view import JobFacts, WorkflowLinks
from db.queries import events
from db.queries.events import Event, TenantCursor
from db.session import Access, Database
from muniment.contracts.jobs import JobEventKind, JobSnapshot, JobState, StageProgress
from muniment.errors import Conflict, MunimentError, NotFound

logger = logging.getLogger(__name__)

POLL_SECONDS = 5.0
"""Looks for rows so often when no notification comes, which may have been lost."""
GATHER_SECONDS = 0.1
"""Looks so far apart, so that events which follow one another quickly are read together; a change
of a job's state is told at once."""
_RETRY_SECONDS = 1.0


class Watcher(ABC, Generic[PositionT]):
    """Runs while it has viewers."""

    def __init__(self, database: Database, links: WorkflowLinks, access: Access) -> None:
        self._database = database
        self._links = links
        self._access = access
        self._subscriptions: set[Subscription[PositionT]] = set()
        self._wakeup = asyncio.Event()
        self._hurry = asyncio.Event()

    @property
    @abstractmethod
    def position(self) -> PositionT:
        """Of the last event that was told."""

    @abstractmethod
    async def _look(self) -> int:
        """Tells what is new; how much that was."""

    def subscribe(self) -> Subscription[PositionT]:
        subscription = Subscription(self.position)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription[PositionT]) -> None:
        self._subscriptions.discard(subscription)
        self.wake()

    @property
    def viewers(self) -> int:
        return len(self._subscriptions)

    def wake(self, *, at_once: bool = True) -> None:
        self._wakeup.set()
        if at_once:
            self._hurry.set()

    def close(self) -> None:
        """Ends every viewer's stream; they reconnect."""
        for subscription in self._subscriptions:
            subscription.close()
        self._subscriptions.clear()
        self.wake()

    async def run(self) -> None:
        """Until nobody looks on."""
        while self._subscriptions:
            self._wakeup.clear()
            self._hurry.clear()
            looked_at = asyncio.get_running_loop().time()
            try:
                found = await self._look()
            except MunimentError as error:
                logger.warning("events cannot be read", extra={"reason": type(error).__name__})
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            # Whatever commits from here on wakes it.
            if found < events.MOST_EVENTS:
                await _until_set(self._wakeup, self._pause_seconds())
                spent = asyncio.get_running_loop().time() - looked_at
                await _until_set(self._hurry, GATHER_SECONDS - spent)

    def _pause_seconds(self) -> float:
        return POLL_SECONDS

    def _tell(self, told: Told[PositionT]) -> None:
        for subscription in self._subscriptions:
            subscription.offer(told)

    def describing(self) -> "Describing":
        """For the events of one look."""
        return Describing(self._database, self._links, self._access)


class JobWatcher(Watcher[int]):
    """Of one job; positions are its events' `seq`. Ends after the job's end."""

    def __init__(
        self,
        database: Database,
        links: WorkflowLinks,
        access: Access,
        job_id: UUID,
        seq: int,
    ) -> None:
        super().__init__(database, links, access)
        self._job_id = job_id
        self._seq = seq

    @property
    def position(self) -> int:
        return self._seq

    async def _look(self) -> int:
        async with self._database.transaction(self._access, plans_once=True) as session:
            found = await events.events_after(session, self._job_id, self._seq)
            are_lost = not found and await events.are_lost_after(session, self._job_id, self._seq)
        if are_lost:
            await self._end()
        describing = self.describing()
        for event in found:
            data = await describing.data(event)
            self._seq = event.seq
            if data is not None:
                self._tell(Told(event.seq, str(event.job_id), event.event, data))
            if event.event is JobEventKind.END:
                self.close()
        return len(found)

    async def _end(self) -> None:
        """Of what was erased before it was told, the end is told all the same. The streams of a job that
        goes on, in a database that was restored, end: whoever resumes is told that."""
        with suppress(NotFound):
            facts = await job_facts(self._database, self._links, self._access, self._job_id)
            self._seq = facts.record.event_seq
            if JobState(facts.record.state).is_terminal:
                data = facts.recorded().model_dump_json()
                self._tell(Told(self._seq, str(self._job_id), JobEventKind.END, data))
        self.close()


class TenantWatcher(Watcher[TenantCursor]):
    """Of all jobs of a tenant, in commit order; each viewer leaves out what it may not see.

    A committed row stays hidden while an older transaction runs, so after a notification it looks
    again at short intervals before it rests.
    """

    _PAUSES = (0.05, 0.2, 0.5, 1.0)

    def __init__(
        self, database: Database, links: WorkflowLinks, access: Access, cursor: TenantCursor
    ) -> None:
        super().__init__(database, links, access)
        self._cursor = cursor
        self._looks = 0

    @property
    def position(self) -> TenantCursor:
        return self._cursor

    def wake(self, *, at_once: bool = True) -> None:
        self._looks = 0
        super().wake(at_once=at_once)

    async def _look(self) -> int:
        try:
            async with self._database.transaction(self._access) as session:
                found = await events.tenant_events_after(session, self._cursor)
                await events.require_events_kept(session, self._cursor)
        except Conflict:
            # Erased or lost before they were told: viewers resume, and are told that. Not while the
            # transaction ends: whoever came then would stay with a watcher that has nothing to tell.
            self.close()
            return 0
        describing = self.describing()
        for event in found:
            data = await describing.data(event)
            self._cursor = replace(self._cursor, x=event.x, id=event.id)
            if data is not None:
                told = Told(self._cursor, str(event.job_id), event.event, with_job_id(data, event))
                self._tell(told)
        if found:
            self._looks = 0
        return len(found)

    def _pause_seconds(self) -> float:
        self._looks += 1
        if self._looks <= len(self._PAUSES):
            return self._PAUSES[self._looks - 1]
        return POLL_SECONDS


async def _until_set(event: asyncio.Event, seconds: float) -> None:
    """Until the event is set, or the time is up."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Describing:
    """What goes out of events that were read together: `state` and `end` carry the Job, `stage` the
    stage; `page` and `retry` are sent as stored."""

    def __init__(self, database: Database, links: WorkflowLinks, access: Access) -> None:
        self._database = database
        self._links = links
        self._access = access
        self._facts: dict[UUID, JobFacts] = {}

    async def data(self, event: Event) -> str | None:
        """The event's data as JSON; None when its job is gone."""
        if event.event in (JobEventKind.STATE, JobEventKind.END):
            try:
                facts = await self._facts_of(event.job_id)
            except NotFound:
                return None
            return facts.at(JobSnapshot.model_validate(event.payload)).model_dump_json()
        if event.event is JobEventKind.STAGE:
            stage = StageProgress.model_validate(event.payload)
            return StageView(**dict(stage)).model_dump_json()
        return as_json(event.payload)

    async def _facts_of(self, job_id: UUID) -> JobFacts:
        """Once for each job, so that a job's last two events cost one look at its row."""
        if job_id not in self._facts:
            self._facts[job_id] = await job_facts(self._database, self._links, self._access, job_id)
        return self._facts[job_id]


def as_json(payload: dict[str, JsonValue]) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))


def with_job_id(data: str, event: Event) -> str:
    """In the tenant's stream every event says which job it is about; a Job says so itself."""
    if event.event in (JobEventKind.STATE, JobEventKind.END):
        return data
    return f'{{"job_id":"{event.job_id}",{data[1:]}'

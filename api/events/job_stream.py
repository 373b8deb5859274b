"""The stream of one job: a snapshot, then every event behind it, to the end."""

from collections.abc import AsyncGenerator
from uuid import UUID

from api.events.registry import Watchers
from api.events.snapshots import Snapshots
from api.events.subscription import Subscription, Told
from api.events.watcher import Describing, JobWatcher
from api.events.wire import HEARTBEAT, HEARTBEAT_SECONDS, RECONNECT, SNAPSHOT, server_sent_event
from api.jobs.facts import job_facts
from api.jobs.schemas import Job
from api.jobs.view import JobFacts, WorkflowLinks
from db.queries import events
from db.session import Access, Database
from muniment.contracts.jobs import JobEventKind, JobState
from muniment.errors import Conflict

_ROWS_AT_ONCE = 500
_ANEW = "Open the stream without an id: it begins with a snapshot."


class JobStream:
    def __init__(
        self,
        database: Database,
        links: WorkflowLinks,
        watchers: Watchers[UUID, int],
        snapshots: Snapshots,
    ) -> None:
        self._database = database
        self._links = links
        self._watchers = watchers
        self._snapshots = snapshots

    async def open(
        self, access: Access, job_id: UUID, last_id: int | None
    ) -> AsyncGenerator[bytes, None] | None:
        """See EventHub.job_stream."""
        facts = await job_facts(self._database, self._links, access, job_id)
        if last_id is None:
            return self._from_snapshot(facts)
        is_terminal = JobState(facts.record.state).is_terminal
        if is_terminal and last_id >= facts.record.event_seq:
            return None
        await self._require_kept(access, facts, last_id)
        return self._resumed(facts, last_id)

    async def _require_kept(self, access: Access, facts: JobFacts, last_id: int) -> None:
        async with self._database.transaction(access) as session:
            newest = await events.latest_seq(session, facts.record.id)
            if last_id > newest:
                raise Conflict("the event id is none of this job's", remedy=_ANEW)
            oldest = await events.oldest_seq(session, facts.record.id)
            is_ours = await events.was_given_out(session, facts.record.id, last_id)
        if last_id < newest and (oldest == 0 or last_id + 1 < oldest):
            raise Conflict("the events behind this id are no longer kept", remedy=_ANEW)
        if not is_ours:
            raise Conflict("the event id is none of this job's", remedy=_ANEW)

    async def _from_snapshot(self, facts: JobFacts) -> AsyncGenerator[bytes, None]:
        watcher, subscription = self._watchers.join(facts.record.id, lambda: self._watcher(facts))
        try:
            yield RECONNECT
            snapshot = await self._snapshots.take(facts)
            data = snapshot.job.model_dump_json()
            if snapshot.job.state.is_terminal:
                # The id before the end's: who is cut off between the two gets the end on resuming.
                yield server_sent_event(SNAPSHOT, data, str(max(snapshot.seq - 1, 0)))
                yield server_sent_event(JobEventKind.END, data, str(snapshot.seq))
                return
            yield server_sent_event(SNAPSHOT, data, str(snapshot.seq))
            following = self._follow(facts, subscription, snapshot.seq, snapshot.job.percent)
            async for piece in following:
                yield piece
        finally:
            watcher.unsubscribe(subscription)

    async def _resumed(self, facts: JobFacts, last_id: int) -> AsyncGenerator[bytes, None]:
        watcher, subscription = self._watchers.join(facts.record.id, lambda: self._watcher(facts))
        try:
            yield RECONNECT
            # What the viewer was shown before may be of the workflow, too, not of the row alone.
            least_percent = (await self._snapshots.take(facts)).job.percent
            async for piece in self._follow(facts, subscription, last_id, least_percent):
                yield piece
        finally:
            watcher.unsubscribe(subscription)

    async def _follow(
        self,
        facts: JobFacts,
        subscription: Subscription[int],
        position: int,
        least_percent: float = 0.0,
    ) -> AsyncGenerator[bytes, None]:
        """Every event behind the position once: from the rows what the watcher told before this
        viewer came, then what it tells."""
        async for told in self._rows(facts, position, subscription.since):
            position = told.position
            yield wire(told, least_percent)
            if told.event == JobEventKind.END:
                return
        if position < subscription.since and await self._are_erased(facts):
            return  # whoever resumes is told
        while not subscription.is_over:
            told_now = await subscription.next(HEARTBEAT_SECONDS)
            if told_now is None:
                yield HEARTBEAT
            elif told_now.position > position:
                position = told_now.position
                yield wire(told_now, least_percent)
                if told_now.event == JobEventKind.END:
                    return

    async def _rows(
        self, facts: JobFacts, position: int, until: int
    ) -> AsyncGenerator[Told[int], None]:
        access = Access(facts.record.tenant_id)
        while position < until:
            async with self._database.transaction(access) as session:
                rows = await events.events_after(session, facts.record.id, position, _ROWS_AT_ONCE)
            describing = Describing(self._database, self._links, access)
            for row in rows:
                position = row.seq
                data = await describing.data(row)
                if data is not None:
                    yield Told(row.seq, str(row.job_id), row.event, data)
            if not rows:
                return

    async def _are_erased(self, facts: JobFacts) -> bool:
        async with self._database.transaction(Access(facts.record.tenant_id)) as session:
            return await events.oldest_seq(session, facts.record.id) == 0

    def _watcher(self, facts: JobFacts) -> JobWatcher:
        access = Access(facts.record.tenant_id)
        seq = facts.record.event_seq
        return JobWatcher(self._database, self._links, access, facts.record.id, seq)


def wire(told: Told[int], least_percent: float) -> bytes:
    """The event as it is sent. A snapshot asks the workflow, which may know of more than was recorded
    when the event behind it was written: no viewer's percentage falls for that."""
    data = told.data
    if told.event in (JobEventKind.STATE, JobEventKind.END):
        job = Job.model_validate_json(data)
        if job.percent < least_percent:
            data = job.model_copy(update={"percent": least_percent}).model_dump_json()
    return server_sent_event(told.event, data, str(told.position))

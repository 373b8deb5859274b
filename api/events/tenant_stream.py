"""The stream of all jobs of a tenant, in commit order, each viewer seeing what it may see."""

import logging
from collections.abc import AsyncGenerator
from dataclasses import replace
from uuid import UUID

from api.events.registry import Watchers
from api.events.subscription import Subscription, Told
from api.events.visibility import VisibleJobs
from api.events.watcher import Describing, TenantWatcher, with_job_id
from api.events.wire import HEARTBEAT, HEARTBEAT_SECONDS, RECONNECT, SNAPSHOT, server_sent_event
from api.jobs.facts import facts_of
from api.jobs.schemas import Job
from api.jobs.view import WorkflowLinks
from db.queries import events, jobs
from db.queries.events import TenantCursor
from db.session import Access, Database
from muniment.contracts.jobs import JobState
from muniment.errors import Conflict, InvalidRequest

logger = logging.getLogger(__name__)

MAX_SNAPSHOTS = 100
"""Open jobs that a stream begins with, for each state."""
_ROWS_AT_ONCE = 500


class TenantStream:
    def __init__(
        self, database: Database, links: WorkflowLinks, watchers: Watchers[UUID, TenantCursor]
    ) -> None:
        self._database = database
        self._links = links
        self._watchers = watchers

    async def open(
        self, access: Access, cursor: TenantCursor | None
    ) -> AsyncGenerator[bytes, None]:
        """See EventHub.tenant_stream."""
        async with self._database.transaction(access) as session:
            end = await events.tenant_stream_end(session)
            if cursor is not None:
                await events.require_events_kept(session, cursor, end)
        if cursor is not None:
            return self._stream(access, end, cursor, ())
        # The end was read first: what happens while the open jobs are read comes again behind it.
        return self._stream(access, end, end, await self._open_jobs(access))

    async def _stream(
        self, access: Access, end: TenantCursor, cursor: TenantCursor, opening: tuple[Job, ...]
    ) -> AsyncGenerator[bytes, None]:
        watcher, subscription = self._watchers.join(
            access.tenant_id,
            lambda: TenantWatcher(self._database, self._links, Access(access.tenant_id), end),
        )
        try:
            yield RECONNECT
            for job in opening:
                yield server_sent_event(SNAPSHOT, job.model_dump_json(), event_id(cursor))
            async for piece in self._follow(access, subscription, cursor):
                yield piece
        except Conflict:
            # Erased, or restored, since the stream was opened: it ends, and whoever resumes it is told.
            logger.info("a stream of events ends at what is lost")
        finally:
            watcher.unsubscribe(subscription)

    async def _follow(
        self, access: Access, subscription: Subscription[TenantCursor], cursor: TenantCursor
    ) -> AsyncGenerator[bytes, None]:
        async for told in self._rows(access, cursor, subscription.since):
            cursor = told.position
            yield _wire(told)
        visible = VisibleJobs(self._database, access)
        while not subscription.is_over:
            told_now = await subscription.next(HEARTBEAT_SECONDS)
            if told_now is None:
                yield HEARTBEAT
            elif _is_behind(told_now.position, cursor):
                cursor = told_now.position
                if await visible.includes(UUID(told_now.job_id)):
                    yield _wire(told_now)

    async def _rows(
        self, access: Access, cursor: TenantCursor, until: TenantCursor
    ) -> AsyncGenerator[Told[TenantCursor], None]:
        """Raises Conflict where some of them were erased before they were read."""
        while _is_behind(until, cursor):
            async with self._database.transaction(access) as session:
                rows = await events.tenant_events_after(session, cursor, _ROWS_AT_ONCE)
                await events.require_events_kept(session, cursor)
            describing = Describing(self._database, self._links, access)
            for row in rows:
                cursor = replace(cursor, x=row.x, id=row.id)
                data = await describing.data(row)
                if data is not None:
                    yield Told(cursor, str(row.job_id), row.event, with_job_id(data, row))
            if not rows:
                return

    async def _open_jobs(self, access: Access) -> tuple[Job, ...]:
        async with self._database.transaction(access) as session:
            rows = [
                row
                for state in JobState
                if not state.is_terminal
                for row in await jobs.list_jobs(session, limit=MAX_SNAPSHOTS, state=state)
            ]
            shown = await facts_of(session, self._links, rows)
        return tuple(facts.recorded() for facts in shown)


def event_id(cursor: TenantCursor) -> str:
    """An id of the tenant's stream: transaction, row and era, `x-id-era`."""
    return f"{cursor.x}-{cursor.id}-{cursor.era}"


def parse_event_id(value: str) -> TenantCursor:
    """Raises InvalidRequest for what is no id of this stream. One of a release without eras is of none."""
    x, dash, rest = value.partition("-")
    row, _, era = rest.partition("-")
    digits = dash and x.isascii() and x.isdigit() and row.isascii() and row.isdigit()
    if not digits or int(x) >= 2**63 or int(row) >= 2**63:
        raise InvalidRequest("the last event id is none of this stream's")
    return TenantCursor(int(x), int(row), era)


def _is_behind(position: TenantCursor, cursor: TenantCursor) -> bool:
    return (position.x, position.id) > (cursor.x, cursor.id)


def _wire(told: Told[TenantCursor]) -> bytes:
    return server_sent_event(told.event, told.data, event_id(told.position))

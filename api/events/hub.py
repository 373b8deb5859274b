"""All event streams of this process: their watchers, and the one LISTEN connection that wakes them."""

from collections.abc import AsyncGenerator
from uuid import UUID

from api.events.job_stream import JobStream
from api.events.registry import Watchers
from api.events.snapshots import Snapshots
from api.events.tenant_stream import TenantStream
from api.jobs.view import WorkflowLinks
from api.orchestrator import Orchestrator
from api.slots import Slots
from db.listening import JobEventListener
from db.queries.events import TenantCursor
from db.session import Access, Database
from muniment.contracts.jobs import JobEventKind


class EventHub:
    """Opens streams. `run` must run as long as the hub is used."""

    def __init__(
        self,
        database: Database,
        listen_dsn: str,
        temporal: Orchestrator,
        links: WorkflowLinks,
        slots: Slots,
    ) -> None:
        self.slots = slots
        self.listener = JobEventListener(listen_dsn, self._on_event, self._on_gap)
        self.job_watchers: Watchers[UUID, int] = Watchers()
        self.tenant_watchers: Watchers[UUID, TenantCursor] = Watchers()
        snapshots = Snapshots(database, temporal, links)
        self._jobs = JobStream(database, links, self.job_watchers, snapshots)
        self._tenants = TenantStream(database, links, self.tenant_watchers)

    async def run(self) -> None:
        """Listens until cancelled."""
        await self.listener.run()

    def close(self) -> None:
        """Ends all streams; clients reconnect elsewhere, or to the next process."""
        self.job_watchers.close()
        self.tenant_watchers.close()

    async def job_stream(
        self, access: Access, job_id: UUID, last_id: int | None
    ) -> AsyncGenerator[bytes, None] | None:
        """The job's stream, from its beginning or behind `last_id`; None when that was its end.

        Raises NotFound for a job whose file the caller may not read, Conflict when `last_id` is
        older than what is kept, or was never given out.
        """
        return await self._jobs.open(access, job_id, last_id)

    async def tenant_stream(
        self, access: Access, cursor: TenantCursor | None
    ) -> AsyncGenerator[bytes, None]:
        """All jobs of files that the caller may read, from now on or behind the cursor."""
        return await self._tenants.open(access, cursor)

    def _on_event(self, tenant_id: UUID, job_id: UUID, event: str) -> None:
        at_once = event in (JobEventKind.STATE, JobEventKind.END)
        self.job_watchers.wake(job_id, at_once=at_once)
        self.tenant_watchers.wake(tenant_id, at_once=at_once)

    def _on_gap(self) -> None:
        self.job_watchers.wake_all()
        self.tenant_watchers.wake_all()

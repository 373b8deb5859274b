"""Which jobs of a tenant's stream a viewer may see, asked anew every half minute."""

import time
from uuid import UUID

from db.queries import jobs
from db.session import Access, Database

FRESH_SECONDS = 30.0
_MOST_REMEMBERED = 10_000


class VisibleJobs:
    """Remembers the answers for a while, for one viewer."""

    def __init__(self, database: Database, access: Access) -> None:
        self._database = database
        self._access = access
        self._known: dict[UUID, tuple[bool, float]] = {}

    async def includes(self, job_id: UUID) -> bool:
        """Whether the viewer may read the job's file."""
        answer, until = self._known.get(job_id, (False, 0.0))
        if time.monotonic() < until:
            return answer
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        async with self._database.transaction(self._access) as session:
            answer = await jobs.get_job(session, job_id) is not None
        self._known[job_id] = (answer, time.monotonic() + FRESH_SECONDS)
        return answer

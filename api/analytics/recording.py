"""Queries on their way into the database: noted in memory at once, written in batches behind the requests."""

import asyncio
import hashlib
import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from db.models import now
from db.queries import analytics
from db.queries.analytics import Keeps, NewQuery, QueryKind, QueryPolicy
from db.session import Access, Database
from muniment.errors import MunimentError
from muniment.sealing import KeyManagement
from muniment.telemetry.metrics import queries_not_recorded_total

logger = logging.getLogger(__name__)

MOST_WAITING = 10_000
MOST_CHARACTERS = 4_000_000
"""Some megabytes. Beyond either, as where PostgreSQL does not answer for long, the oldest are lost."""
WRITE_SECONDS = 1.0
LAST_WRITE_SECONDS = 5.0
KEY_BYTES = 16
_PURPOSE = b"muniment/v1|query|"


@dataclass(frozen=True)
class _Asked:
    at: datetime
    kind: QueryKind
    words: str = field(repr=False)
    found: int
    milliseconds: float
    is_cached: bool


class QueryRecorder:
    """What is not yet written is lost when the process is killed. `default`: of tenants that have set
    nothing else."""

    def __init__(self, database: Database, keys: KeyManagement, default: QueryPolicy) -> None:
        self._database = database
        self._keys = keys
        self.default = default
        self._waiting: deque[tuple[UUID, _Asked]] = deque()
        self._taken: defaultdict[UUID, list[_Asked]] = defaultdict(list)
        self._characters = 0  # of both
        self._writing: asyncio.Task[None] | None = None

    def note(
        self,
        tenant_id: UUID,
        kind: QueryKind,
        words: str,
        found: int,
        milliseconds: float,
        *,
        is_cached: bool = False,
    ) -> None:
        """Takes microseconds, and raises nothing."""
        self._append(tenant_id, _Asked(now(), kind, words, found, milliseconds, is_cached))

    def _append(self, tenant_id: UUID, asked: _Asked) -> None:
        self._waiting.append((tenant_id, asked))
        self._characters += len(asked.words)
        while self._waiting and (
            len(self._waiting) > MOST_WAITING or self._characters > MOST_CHARACTERS
        ):
            _, lost = self._waiting.popleft()
            self._characters -= len(lost.words)
            queries_not_recorded_total.inc()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            # Not cancelled with this: `close` waits for its end.
            self._writing = asyncio.create_task(self.write())
            await asyncio.shield(self._writing)

    async def close(self) -> None:
        """Writes what waits, if that does not take long."""
        try:
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                if self._writing is not None:
                    await self._writing
                await self.write()
        except TimeoutError:
            pass  # what is left is counted
        if left := len(self._waiting) + sum(len(each) for each in self._taken.values()):
            queries_not_recorded_total.inc(left)
            logger.warning("queries were not recorded", extra={"count": left})

    async def write(self) -> None:
        """What waits now. A tenant's that cannot be written is lost: it must not keep others waiting. One's
        whose policy is being changed waits for the next time."""
        while self._waiting:
            tenant_id, asked = self._waiting.popleft()
            self._taken[tenant_id].append(asked)
        held: list[tuple[UUID, _Asked]] = []
        while self._taken:
            tenant_id, each = next(iter(self._taken.items()))
            try:
                if not await self._write(tenant_id, each):
                    held.extend((tenant_id, asked) for asked in each)
            except MunimentError as error:
                queries_not_recorded_total.inc(len(each))
                logger.warning(
                    "queries were not recorded",
                    extra={"count": len(each), "reason": error.problem},
                )
            except Exception:
                # Nobody foresaw it, and what is asked from now on must not be lost with it.
                queries_not_recorded_total.inc(len(each))
                logger.exception("queries were not recorded", extra={"count": len(each)})
            del self._taken[tenant_id]
            self._characters -= sum(len(asked.words) for asked in each)
        for tenant_id, asked in held:
            self._append(tenant_id, asked)

    async def _write(self, tenant_id: UUID, asked: Sequence[_Asked]) -> bool:
        """False where the tenant's policy is being changed."""
        async with self._database.transaction(Access(tenant_id)) as session:
            if not await analytics.hold_policy(session):
                return False
            policy = await analytics.policy_of(session, tenant_id, self.default)
            if policy.keeps is not Keeps.NOTHING:
                kept = [await self._kept(tenant_id, each, policy.keeps) for each in asked]
                await analytics.keep(session, tenant_id, kept)
        return True

    async def _kept(self, tenant_id: UUID, asked: _Asked, keeps: Keeps) -> NewQuery:
        folded = " ".join(asked.words.casefold().split())
        digest = hashlib.sha256(_PURPOSE + folded.encode("utf-8", "replace")).digest()
        key = (await self._keys.dedup_tag(tenant_id, digest))[:KEY_BYTES]
        text = _storable(asked.words) if keeps is Keeps.TEXT else None
        return NewQuery(
            asked.at, asked.kind, key, text, asked.found, asked.milliseconds, asked.is_cached
        )


def _storable(words: str) -> str:
    """Without what PostgreSQL's text cannot hold."""
    return words.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")

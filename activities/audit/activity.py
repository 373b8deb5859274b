"""Temporal's face of the sealing of audit trails."""

import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.audit.sealing import Sealer, refused
from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.queries import audit_tree
from db.session import Database
from muniment.contracts.seal_audit import AuditActivities, SealAuditInput, SealAuditResult
from muniment.errors import AuditTampered, CheckpointInvalid, MunimentError

PAGE_TENANTS = 100
ROUND_SECONDS = 60.0
"""After this a round takes up no further batch: its budget is some minutes."""

FindTenants = Callable[[AsyncSession, UUID | None, int], Awaitable[Sequence[UUID]]]


class AuditSealing(AuditActivities):
    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    @activity.defn(name="seal_audit")
    async def seal_audit(self, request: SealAuditInput) -> SealAuditResult:
        try:
            async with heartbeats():
                round_ = _Round(self._database, self._sealer)
                await round_.go()
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error
        return round_.result()


class _Round:
    """Each tenant has a batch, and another while it has more, before the next one's turn comes: whoever
    writes most delays the others by no more than the time of a round."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._end = time.monotonic() + ROUND_SECONDS
        self._events = self._checkpoints = self._copies = self._refused = 0

    async def go(self) -> None:
        await self._each(audit_tree.tenants_with_unsealed, self._seal)
        if self._sealer.makes_copies:
            await self._each(audit_tree.tenants_with_uncopied, self._copy)

    def result(self) -> SealAuditResult:
        return SealAuditResult(
            events=self._events,
            checkpoints=self._checkpoints,
            copies=self._copies,
            refused=self._refused,
        )

    async def _each(self, find: FindTenants, work: Callable[[UUID], Awaitable[None]]) -> None:
        after: UUID | None = None
        while time.monotonic() < self._end:
            async with self._database.across_tenants() as session:
                tenants = await find(session, after, PAGE_TENANTS)
            for tenant_id in tenants:
                await work(tenant_id)
            if len(tenants) < PAGE_TENANTS:
                return
            after = tenants[-1]

    async def _seal(self, tenant_id: UUID) -> None:
        try:
            while time.monotonic() < self._end:
                sealed = await self._sealer.seal(tenant_id)
                self._events += sealed.events
                self._checkpoints += sealed.checkpoints
                if sealed.is_last:
                    return
        except (AuditTampered, CheckpointInvalid) as error:
            # Of this trail alone: those of others go on.
            refused(error, tenant_id)
            self._refused += 1

    async def _copy(self, tenant_id: UUID) -> None:
        self._copies += await self._sealer.copy(tenant_id)

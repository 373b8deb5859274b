"""Temporal's face of the sealing of audit trails."""

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.audit.sealing import Sealed, Sealer, refused, removed_before
from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.queries import audit_tree
from db.session import Database
from muniment.contracts.seal_audit import AuditActivities, SealAuditInput, SealAuditResult
from muniment.errors import (
    AuditTampered,
    CheckpointInvalid,
    DatabaseUnavailable,
    MunimentError,
    ObjectStoreUnavailable,
)

logger = logging.getLogger(__name__)

PAGE_TENANTS = 100
ROUND_SECONDS = 60.0
"""After this a round takes up no further batch: its budget is some minutes."""
COPYING_SECONDS = 30.0
"""Of their own: a round that had much to seal leaves them theirs."""

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
    """Each tenant has one batch, then each that has more another one, until nothing is left or the time is
    over: whoever writes most delays nobody by more than a batch. A trail that cannot be sealed, or copied,
    holds up no other."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer
        self._end = 0.0
        self._more = False
        self._compares = True
        self._standing: set[UUID] = set()
        self._events = self._checkpoints = self._copies = 0

    async def go(self) -> None:
        self._end = time.monotonic() + ROUND_SECONDS
        self._more = True
        while self._more:
            self._more = False
            await self._each(audit_tree.tenants_with_unsealed, self._seal)
        if self._sealer.makes_copies:
            self._end = time.monotonic() + COPYING_SECONDS
            await self._each(audit_tree.tenants_with_uncopied, self._copy)

    def result(self) -> SealAuditResult:
        return SealAuditResult(
            events=self._events,
            checkpoints=self._checkpoints,
            copies=self._copies,
            refused=len(self._standing),
        )

    async def _each(self, find: FindTenants, work: Callable[[UUID], Awaitable[None]]) -> None:
        after: UUID | None = None
        while time.monotonic() < self._end:
            async with self._database.across_tenants() as session:
                tenants = await find(session, after, PAGE_TENANTS)
            for tenant_id in tenants:
                if time.monotonic() < self._end:
                    await work(tenant_id)
            if len(tenants) < PAGE_TENANTS:
                return
            after = tenants[-1]

    async def _seal(self, tenant_id: UUID) -> None:
        if tenant_id in self._standing:
            return
        try:
            sealed = await self._sealed(tenant_id)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a trail holds, those of others go on
            self._stand(error, tenant_id)
            return
        self._events += sealed.events
        self._checkpoints += sealed.checkpoints
        if sealed.removed:
            removed_before(sealed.removed, tenant_id)
            self._standing.add(tenant_id)
        if not sealed.is_last and time.monotonic() < self._end:
            self._more = True

    async def _sealed(self, tenant_id: UUID) -> Sealed:
        """Compared with the second place, while that answers: what is written meanwhile would lie unsealed
        otherwise, and the next round that reaches it finds what was cut off."""
        if self._compares:
            try:
                return await self._sealer.seal(tenant_id)
            except ObjectStoreUnavailable as error:
                logger.warning(
                    "audit trails are sealed without the second place",
                    extra={"reason": error.problem},
                )
                self._compares = False
        return await self._sealer.seal(tenant_id, compares=False)

    async def _copy(self, tenant_id: UUID) -> None:
        try:
            self._copies += await self._sealer.copy(tenant_id)
        except ObjectStoreUnavailable as error:
            logger.warning("checkpoints were not copied", extra={"reason": error.problem})
            self._end = 0.0
        except (AuditTampered, CheckpointInvalid) as error:
            self._stand(error, tenant_id)

    def _stand(self, error: Exception, tenant_id: UUID) -> None:
        refused(error, tenant_id)
        self._standing.add(tenant_id)

"""Hands events that were committed to the endpoints that subscribe to them, and starts deliveries."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from temporalio.client import Client

from db.listening import WakingListener
from db.queries import webhook_deliveries
from db.queries.webhook_deliveries import CHANNEL, UndispatchedEvent, UnstartedDelivery
from db.session import Access, Database
from muniment.contracts.deliver_webhook import (
    TEST_EVENT,
    DeliverWebhookInput,
    DeliveryState,
    Outcome,
)
from muniment.errors import MunimentError
from muniment.task_group import task_group
from muniment.telemetry.metrics import webhook_deliveries_total
from worker.rounds import go_round
from workflows.starting import start_delivery

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
"""A notification that was lost with its connection delays an event no longer."""
PAGE = 100
AT_ONCE = 4
"""Deliveries that are started side by side: each waits for Temporal and twice for the database."""
MAX_FAILURES = 3
"""After so many a round ends: then it is PostgreSQL or Temporal that is away, and each attempt waits
for it."""


@dataclass(frozen=True)
class DispatchPolicy:
    """`delays`: seconds before each attempt; `max_pending`: unfinished deliveries of an endpoint."""

    delays: tuple[float, ...]
    max_pending: int


class WebhookDispatch:
    """Doing it twice is harmless, so any number of workers may run one: an endpoint has one row per
    event, and a row one workflow per round."""

    def __init__(
        self,
        database: Database,
        client: Client,
        policy: DispatchPolicy,
        listen_dsn: str,
        interval_seconds: float = INTERVAL_SECONDS,
    ) -> None:
        self._database = database
        self._client = client
        self._policy = policy
        self._interval_seconds = interval_seconds
        self._woken = asyncio.Event()
        self._handed_out_to: UUID | None = None
        self._listener = WakingListener(listen_dsn, CHANNEL, self._woken)

    async def run(self) -> None:
        """Until cancelled."""
        async with task_group() as working:
            working.create_task(self._listener.run())
            working.create_task(
                go_round(
                    self.round,
                    self._interval_seconds,
                    "events were not dispatched",
                    first_after_seconds=0,
                    woken=self._woken,
                )
            )

    async def round(self) -> int:
        """Dispatches and starts what there is; how many deliveries were started. What a page of events
        brought is started before the next page: a stream of them holds up none. Where too many fail the
        next round goes on behind them: else those that always fail would hold up all that follow."""
        started, failures = 0, 0
        while True:
            async with self._database.across_tenants() as session:
                events = await webhook_deliveries.undispatched_events(
                    session, self._handed_out_to, PAGE
                )
            for event in events:
                self._handed_out_to = event.event_id
                failures += not await self._is_handed_out(event)
                if failures >= MAX_FAILURES:
                    return started + await self._start_all()
            started += await self._start_all()
            if len(events) < PAGE:
                self._handed_out_to = None
                return started

    async def _is_handed_out(self, event: UndispatchedEvent) -> bool:
        try:
            await self._hand_out(event)
        except MunimentError as error:
            ids = {"event_id": str(event.event_id), "reason": error.problem}
            logger.warning("an event was not handed out", extra=ids)
            return False
        return True

    async def _hand_out(self, event: UndispatchedEvent) -> None:
        """Each endpoint's delivery is made under the rights of its principal, in a transaction of its
        own; what a death in between leaves is done again."""
        system = Access(event.tenant_id)
        async with self._database.transaction(system) as session:
            subscribers = await webhook_deliveries.subscribers(session, event.event_id)
        for subscriber in subscribers:
            access = Access(event.tenant_id, subscriber.principal_id)
            async with self._database.transaction(access) as session:
                state = await webhook_deliveries.add_delivery(
                    session, event.event_id, subscriber.webhook_id, self._policy.max_pending
                )
            if state is DeliveryState.FAILED:
                webhook_deliveries_total.labels(state.value, Outcome.TOO_MANY_PENDING.value).inc()
                ids = {"webhook_id": str(subscriber.webhook_id), "event_id": str(event.event_id)}
                logger.warning("an endpoint has too many unfinished deliveries", extra=ids)
        async with self._database.transaction(system) as session:
            await webhook_deliveries.mark_dispatched(session, event.event_id)

    async def _start_all(self) -> int:
        started, failures = 0, 0
        after: UUID | None = None
        while failures < MAX_FAILURES:
            async with self._database.across_tenants() as session:
                page = await webhook_deliveries.unstarted_deliveries(session, after, PAGE)
            for first in range(0, len(page), AT_ONCE):
                went_well = await self._start_some(page[first : first + AT_ONCE])
                started += sum(went_well)
                failures += went_well.count(False)
                if failures >= MAX_FAILURES:
                    return started
            if len(page) < PAGE:
                return started
            after = page[-1].delivery_id
        return started

    async def _start_some(self, unstarted: Sequence[UnstartedDelivery]) -> list[bool]:
        async with task_group() as starting:
            tasks = [starting.create_task(self._is_started(each)) for each in unstarted]
        return [task.result() for task in tasks]

    async def _is_started(self, unstarted: UnstartedDelivery) -> bool:
        try:
            await self._start(unstarted)
        except MunimentError as error:
            ids = {"delivery_id": str(unstarted.delivery_id), "reason": error.problem}
            logger.warning("a delivery was not started", extra=ids)
            return False
        return True

    async def _start(self, unstarted: UnstartedDelivery) -> None:
        access = Access(unstarted.tenant_id)
        async with self._database.transaction(access) as session:
            found = await webhook_deliveries.delivery_and_type(session, unstarted.delivery_id)
        if found is None or found[0].started_at is not None:
            return
        delivery, event_type = found
        # Whoever presses the button looks at the answer, and presses it again.
        delays = self._policy.delays[:1] if event_type == TEST_EVENT else self._policy.delays
        request = DeliverWebhookInput(
            tenant_id=delivery.tenant_id,
            webhook_id=delivery.webhook_id,
            delivery_id=delivery.id,
            round=delivery.round,
            delays_seconds=delays,
        )
        await start_delivery(self._client, request)
        async with self._database.transaction(access) as session:
            await webhook_deliveries.mark_started(session, delivery.id, delivery.round)

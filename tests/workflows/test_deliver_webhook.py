"""Events reach the endpoints that ask for them, once each and signed, or wait as dead letters."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import webhook_deliveries
from db.session import Access
from muniment.contracts.deliver_webhook import DeliveryState
from muniment.errors import DatabaseUnavailable
from tests.conftest import make_tenant
from tests.patience import on_a_busy_machine
from tests.receiver import Received, Receiver, Reply
from tests.workflows.endpoints import (
    ONLY,
    attempted,
    become_ready,
    deliveries,
    dispatch,
    ended,
    endpoint,
    eventually,
    handle,
    rows,
    sending,
    set_state,
)
from tests.workflows.workshop import TenantIds, Workshop
from worker.lost_deliveries import LostDeliveries
from worker.spent_webhooks import OldEvents
from worker.webhook_dispatch import MAX_FAILURES

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_file_that_becomes_ready_is_told_to_who_asked(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, postgres_dsn: str
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    elsewhere = make_tenant(postgres_dsn)
    other = TenantIds(elsewhere.tenant_id, elsewhere.collection_id, elsewhere.principal_id)
    foreign = await endpoint(workshop, other, receiver.url)
    uninterested = await endpoint(workshop, owner, receiver.url, ("file.failed",))
    job = await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        [found] = await ended(workshop, made)
    [request] = receiver.received
    message = made.verify(request)
    assert message["type"] == "file.ready"
    assert message["data"] == {
        "file_id": str(job.file_id),
        "state": "ready",
        "previous_state": "received",
    }
    assert abs(datetime.now(UTC) - datetime.fromisoformat(message["timestamp"])) < timedelta(
        hours=1
    )
    assert request.headers["webhook-id"] == str(found.event_id)
    assert request.headers["content-type"] == "application/json"
    assert len(request.body) < 500
    assert (found.state, found.reason, found.attempts) == ("delivered", "delivered", 1)
    [attempt] = await rows(workshop, made, "webhook_attempt")
    assert (attempt.round, attempt.number, attempt.status) == (1, 1, 200)
    audited = await rows(workshop, made, "audit_event WHERE object_type = 'webhook_delivery'")
    assert [each.action for each in audited] == ["webhook.delivered"]
    for silent in (foreign, uninterested):
        assert await deliveries(workshop, silent) == []


async def test_each_change_of_a_file_and_its_job_is_an_event(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    events = ("file.ready", "file.trashed", "file.restored", "file.erased", "job.completed")
    made = await endpoint(workshop, owner, receiver.url, events)
    job = await become_ready(workshop, owner)
    for state in ("trashed", "ready", "trashed", "erasing", "erased"):
        await set_state(workshop, job, state)
    for state in ("running", "completed"):
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(
                text("UPDATE job SET state = :state WHERE id = :id"), {"state": state, "id": job.id}
            )
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        await ended(workshop, made, 6)
    sent = sorted(made.verify(each)["type"] for each in receiver.received)
    assert sent == sorted(
        [
            "file.ready",
            "file.trashed",
            "file.restored",
            "file.trashed",
            "file.erased",
            "job.completed",
        ]
    )
    [of_job] = [each for each in map(made.verify, receiver.received) if each["type"][:3] == "job"]
    assert of_job["data"] == {
        "job_id": str(job.id),
        "kind": "ingest_file",
        "state": "completed",
        "degraded": False,
        "file_id": str(job.file_id),
        "version_id": str(job.version_id),
    }


async def test_what_is_rolled_back_is_no_event(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    job = await workshop.upload(owner, uuid4().bytes)

    async def rolled_back() -> None:
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(
                text("UPDATE file SET state = 'ready' WHERE id = :id"), {"id": job.file_id}
            )
            raise RuntimeError("after the change")

    with pytest.raises(RuntimeError, match="after the change"):
        await rolled_back()
    assert await rows(workshop, made, "webhook_event") == []
    await set_state(workshop, job, "ready")
    assert len(await rows(workshop, made, "webhook_event")) == 1


async def test_without_an_endpoint_that_asks_nothing_is_written(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url, ("job.failed",))
    await become_ready(workshop, owner)
    assert await rows(workshop, made, "webhook_event") == []


async def test_what_is_refused_is_sent_again_under_the_same_id(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    receiver.reply = lambda _: Reply((500, 404, 204)[min(len(receiver.received), 3) - 1])
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        [found] = await ended(workshop, made)
    assert (found.state, found.attempts) == ("delivered", 3)
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
    assert len({each.body for each in receiver.received}) == 1
    for request in receiver.received:
        made.verify(request)
    tried = await rows(workshop, made, "webhook_attempt ORDER BY number")
    assert [(each.outcome, each.status) for each in tried] == [
        ("refused", 500),
        ("refused", 404),
        ("delivered", 204),
    ]


async def test_a_dead_letter_waits_to_be_replayed(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    receiver.reply = lambda _: Reply(500)
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        [found] = await ended(workshop, made)
        assert (found.state, found.reason, found.attempts) == ("failed", "refused", 3)
        receiver.reply = lambda _: Reply(200)
        assert await dispatch(workshop).round() == 0, "nobody asked for it"
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            assert await webhook_deliveries.replay(session, made.row.id, found.id)
            assert not await webhook_deliveries.replay(session, made.row.id, found.id)
        await dispatch(workshop).round()
        [found] = await ended(workshop, made)
    assert (found.state, found.round, found.attempts) == ("delivered", 2, 1)
    assert len(receiver.received) == 4
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 1
    tried = await rows(workshop, made, "webhook_attempt ORDER BY round, number")
    assert [(each.round, each.number) for each in tried] == [(1, 1), (1, 2), (1, 3), (2, 1)]
    audited = await rows(workshop, made, "audit_event WHERE object_type = 'webhook_delivery'")
    assert sorted(each.action for each in audited) == [
        "webhook.delivered",
        "webhook.delivery_failed",
    ]


async def test_an_endpoint_that_is_gone_is_switched_off(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    receiver.reply = lambda _: Reply(410)
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        [found] = await ended(workshop, made)
    assert (found.state, found.reason, found.attempts) == ("failed", "gone", 1)
    [row] = await rows(workshop, made, "webhook")
    assert (row.enabled, row.disabled_reason) == (False, "gone")
    audited = await rows(workshop, made, "audit_event WHERE object_type = 'webhook'")
    assert [each.action for each in audited] == ["webhook.disabled"]
    await become_ready(workshop, owner)
    assert len(await rows(workshop, made, "webhook_event")) == 1, "nobody asks any more"


async def test_two_dispatchers_at_once_send_once(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    for _ in range(5):
        await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await asyncio.gather(*(dispatch(workshop).round() for _ in range(3)))
        await ended(workshop, made, 5)
    assert len(receiver.received) == 5
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 5


async def test_a_dispatcher_that_died_half_way_is_followed_by_another(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    first = await endpoint(workshop, owner, receiver.url)
    second = await endpoint(workshop, owner, receiver.url)
    await become_ready(workshop, owner)
    [event] = await rows(workshop, first, "webhook_event")
    async with workshop.database.transaction(
        Access(owner.tenant_id, owner.principal_id)
    ) as session:
        await webhook_deliveries.add_delivery(session, event.id, first.row.id, 10)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        await ended(workshop, first)
        await ended(workshop, second)
    assert len(receiver.received) == 2
    assert await dispatch(workshop).round() == 0


async def test_events_that_cannot_be_handed_out_hold_up_none_behind_them(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as end a round, and one behind them."""
    made = await endpoint(workshop, owner, receiver.url)
    for _ in range(MAX_FAILURES + 1):
        await become_ready(workshop, owner)
    *bad, good = [each.id for each in await rows(workshop, made, "webhook_event ORDER BY id")]
    really_add = webhook_deliveries.add_delivery

    async def add_some(
        session: AsyncSession, event_id: UUID, webhook_id: UUID, max_pending: int
    ) -> DeliveryState | None:
        if event_id in bad:
            raise DatabaseUnavailable("cancelled by its time limit")
        return await really_add(session, event_id, webhook_id, max_pending)

    dispatcher = dispatch(workshop)
    monkeypatch.setattr(webhook_deliveries, "add_delivery", add_some)
    assert await dispatcher.round() == 0
    assert await dispatcher.round() == 1
    assert [each.event_id for each in await deliveries(workshop, made)] == [good]
    monkeypatch.undo()
    assert await dispatcher.round() == MAX_FAILURES
    assert len(await deliveries(workshop, made)) == MAX_FAILURES + 1


async def test_a_notification_wakes_the_dispatcher(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        dispatcher = dispatch(workshop)
        at_work, really_round = [False], dispatcher.round

        async def seen_round() -> int:
            at_work[0] = True
            started = await really_round()
            at_work[0] = False
            return started

        async def is_waiting() -> bool:
            """The round that its connection brought about is over: the next by itself is in an hour."""
            connected, woken = dispatcher._listener.is_connected, dispatcher._woken.is_set()
            return connected and not woken and not at_work[0]

        monkeypatch.setattr(dispatcher, "round", seen_round)
        running = asyncio.create_task(dispatcher.run())
        await eventually(is_waiting)
        await become_ready(workshop, owner)
        async with asyncio.timeout(on_a_busy_machine(20)):
            await ended(workshop, made)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len(receiver.received) == 1


async def test_a_receiver_that_asks_for_time_gets_it(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    at: list[float] = []

    def busy(_: Received) -> Reply:
        at.append(time.monotonic())
        return Reply(429, {"Retry-After": "2"}) if len(at) == 1 else Reply()

    receiver.reply = busy
    made = await endpoint(workshop, owner, receiver.url)
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        await ended(workshop, made)
    assert at[1] - at[0] >= 1.9


async def test_neither_a_redirect_nor_a_forbidden_address_is_followed(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    receiver.reply = lambda _: Reply(307, {"Location": receiver.url})
    made = await endpoint(workshop, owner, receiver.url)
    inside = await endpoint(workshop, owner, f"http://[::1]:{receiver.port}/")
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop, (0.0,)).round()
        [redirected] = await ended(workshop, made)
        [refused] = await ended(workshop, inside)
    assert (redirected.state, redirected.reason) == ("failed", "redirected")
    assert (refused.state, refused.reason) == ("failed", "address-not-allowed")
    assert len(receiver.received) == 1


async def test_above_its_limit_an_endpoints_events_are_dead_letters(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    for _ in range(3):
        await become_ready(workshop, owner)
    await dispatch(workshop, max_pending=2).round()
    found = sorted((each.state, each.reason) for each in await deliveries(workshop, made))
    assert found == [("failed", "too-many-pending"), ("pending", None), ("pending", None)]


async def test_two_who_add_to_an_endpoint_count_in_turn(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    for _ in range(2):
        await become_ready(workshop, owner)
    first, second = [each.id for each in await rows(workshop, made, "webhook_event")]
    access = Access(owner.tenant_id, owner.principal_id)

    async def add(event_id: UUID) -> DeliveryState | None:
        async with workshop.database.transaction(access) as session:
            return await webhook_deliveries.add_delivery(session, event_id, made.row.id, 1)

    async with workshop.database.transaction(access) as session:
        await webhook_deliveries.add_delivery(session, first, made.row.id, 1)
        adding = asyncio.create_task(add(second))
        await asyncio.wait([adding], timeout=0.5)
        assert not adding.done(), "it waits for the other to commit"
    assert await adding is DeliveryState.FAILED


async def test_a_delivery_whose_workflow_was_terminated_is_a_dead_letter(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    await become_ready(workshop, owner)
    await dispatch(workshop).round()
    [pending] = await deliveries(workshop, made)
    lost = LostDeliveries(workshop.database, workshop.client, min_age=timedelta(0))
    await lost.round()
    assert [each.state for each in await deliveries(workshop, made)] == ["pending"]
    await handle(workshop, pending).terminate()
    await lost.round()
    [found] = await deliveries(workshop, made)
    assert (found.state, found.reason) == ("failed", "lost")


async def test_a_cancelled_delivery_is_a_dead_letter(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    receiver.reply = lambda _: Reply(500)
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop, (0.0, 3600.0)).round()
        await eventually(lambda: attempted(workshop, made, 1))
        [pending] = await deliveries(workshop, made)
        assert pending.next_attempt_at is not None
        assert pending.next_attempt_at - datetime.now(UTC) > timedelta(minutes=50)
        await handle(workshop, pending).cancel()
        [found] = await ended(workshop, made)
    assert (found.state, found.reason) == ("failed", "cancelled")


async def test_old_events_are_forgotten_but_those_that_are_pending(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    for _ in range(2):
        await become_ready(workshop, owner)
    await dispatch(workshop).round()
    [kept, over] = await deliveries(workshop, made)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text("UPDATE webhook_delivery SET state = 'failed' WHERE id = :id"), {"id": over.id}
        )
    await OldEvents(workshop.database, workshop.stores.blobs, timedelta(days=1)).round()
    assert len(await rows(workshop, made, "webhook_event")) == 2
    await OldEvents(workshop.database, workshop.stores.blobs, timedelta(0)).round()
    [left] = await deliveries(workshop, made)
    assert UUID(str(left.id)) == kept.id

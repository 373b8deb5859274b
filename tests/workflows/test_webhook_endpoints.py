"""An endpoint is sent what its maker may see, signed with its secrets, and holds up no other."""

import json
import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from db.models import new_id
from db.queries import webhooks
from db.session import Access
from muniment.errors import KeyDestroyed, ObjectStoreUnavailable
from muniment.webhook_signing import SignatureScheme
from tests.conftest import make_tenant
from tests.muniment.test_webhook_signing import verify_ed25519
from tests.receiver import Received, Receiver, Reply, receiving
from tests.workflows.endpoints import (
    ONLY,
    Endpoint,
    add_secret,
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
)
from tests.workflows.workshop import TenantIds, Workshop
from worker import spent_webhooks
from worker.spent_webhooks import SpentSecrets

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_nobody_is_told_of_a_file_that_he_may_not_see(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, postgres_dsn: str
) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE collection SET visibility = 'private'"))
        name = (await session.execute(text("SELECT name FROM tenant"))).scalar_one()
    other = make_tenant(postgres_dsn, name, principal="another", is_admin=False)
    stranger = TenantIds(other.tenant_id, other.collection_id, other.principal_id)
    seeing = await endpoint(workshop, owner, receiver.url)
    blind = await endpoint(workshop, stranger, receiver.url)
    await become_ready(workshop, owner)
    own = await become_ready(workshop, stranger)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        await ended(workshop, seeing, 2)
        await ended(workshop, blind)
    assert len(receiver.received) == 3
    assert len(await deliveries(workshop, blind)) == 1, "the other one's id is not even listed"
    [told] = [each for each in receiver.received if _is_signed_by(blind, each)]
    assert json.loads(told.body)["data"]["file_id"] == str(own.file_id)


def _is_signed_by(made: Endpoint, request: Received) -> bool:
    return made.key.sign(
        f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode()
        + request.body
    ) in request.headers["webhook-signature"].split(" ")


async def test_a_right_that_was_taken_away_ends_the_delivery(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, postgres_dsn: str
) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        name = (await session.execute(text("SELECT name FROM tenant"))).scalar_one()
    other = make_tenant(postgres_dsn, name, principal="reader", is_admin=False)
    reader = TenantIds(other.tenant_id, other.collection_id, other.principal_id)
    made = await endpoint(workshop, reader, receiver.url)
    receiver.reply = lambda _: Reply(500)
    await become_ready(workshop, owner)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop, (0.0, 1.0, 0.0)).round()
        await eventually(lambda: attempted(workshop, made, 1))
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(text("UPDATE collection SET visibility = 'private'"))
        [found] = await ended(workshop, made)
    assert (found.state, found.reason) == ("failed", "not-visible")
    assert len(receiver.received) == 1


async def test_integrity_is_told_to_administrators_alone(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, postgres_dsn: str
) -> None:
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        name = (await session.execute(text("SELECT name FROM tenant"))).scalar_one()
    other = make_tenant(postgres_dsn, name, principal="reader", is_admin=False)
    reader = TenantIds(other.tenant_id, other.collection_id, other.principal_id)
    events = ("integrity.fault_found", "integrity.fault_closed")
    telling = await endpoint(workshop, owner, receiver.url, events)
    silent = await endpoint(workshop, reader, receiver.url, events)
    await workshop.upload(owner, uuid4().bytes)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(
            text(
                "INSERT INTO integrity_fault (id, tenant_id, blob_id, kind, first_seen_at,"
                " last_seen_at) SELECT :id, tenant_id, id, 'seal-broken', now(), now() FROM blob"
                " WHERE kind = 'content' LIMIT 1"
            ),
            {"id": new_id()},
        )
        await session.execute(text("UPDATE integrity_fault SET last_seen_at = now()"))
        await session.execute(text("UPDATE integrity_fault SET closed_at = now()"))
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await dispatch(workshop).round()
        await ended(workshop, telling, 2)
    assert sorted(telling.verify(each)["type"] for each in receiver.received) == sorted(
        ["integrity.fault_found", "integrity.fault_closed"]
    )
    assert await deliveries(workshop, silent) == []


async def test_a_slow_endpoint_holds_up_no_other(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    """All slots but one are free, however many deliveries the slow one has."""
    released = threading.Event()

    def slowly(_: Received) -> Reply:
        released.wait(60)
        return Reply()

    with receiving(slowly) as stuck:
        slow = await endpoint(workshop, owner, stuck.url)
        for _ in range(6):
            await become_ready(workshop, owner)
        await dispatch(workshop).round()
        settings = workshop.settings.webhooks.model_copy(update={"slots": 2})
        workshop.parts._settings = workshop.settings.model_copy(update={"webhooks": settings})
        replacing = sending(workshop, receiver, stuck, per_endpoint=1, seconds=60)
        try:
            async with workshop.working(replacing=replacing, names=ONLY):
                await eventually(lambda: _some(stuck.received))
                quick = await endpoint(workshop, owner, receiver.url)
                await become_ready(workshop, owner)
                await dispatch(workshop).round()
                await ended(workshop, quick)
                assert len(stuck.received) == 1, "one at a time"
                released.set()
                await ended(workshop, slow, 7)
        finally:
            released.set()
            workshop.parts._settings = workshop.settings
        assert len(stuck.received) == 7
        assert len({each.headers["webhook-id"] for each in stuck.received}) == 7


async def test_a_tenant_with_slow_endpoints_leaves_room_for_others(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, postgres_dsn: str
) -> None:
    """It has two of four slots, though it has four endpoints that never answer."""
    released = threading.Event()

    def slowly(_: Received) -> Reply:
        released.wait(60)
        return Reply()

    made = make_tenant(postgres_dsn)
    other = TenantIds(made.tenant_id, made.collection_id, made.principal_id)
    with receiving(slowly) as stuck:
        slow = [await endpoint(workshop, owner, stuck.url) for _ in range(4)]
        await become_ready(workshop, owner)
        await dispatch(workshop).round()
        settings = workshop.settings.webhooks.model_copy(update={"slots": 4})
        workshop.parts._settings = workshop.settings.model_copy(update={"webhooks": settings})
        replacing = sending(workshop, receiver, stuck, per_endpoint=2, per_tenant=2, seconds=60)
        try:
            async with workshop.working(replacing=replacing, names=ONLY):
                await eventually(lambda: _some(stuck.received[1:]))
                quick = await endpoint(workshop, other, receiver.url)
                await become_ready(workshop, other)
                await dispatch(workshop).round()
                await ended(workshop, quick)
                assert len(stuck.received) == 2
                released.set()
                for each in slow:
                    await ended(workshop, each)
        finally:
            released.set()
            workshop.parts._settings = workshop.settings


async def test_an_old_address_that_is_gone_does_not_switch_the_new_one_off(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    released = threading.Event()

    def gone(_: Received) -> Reply:
        released.wait(60)
        return Reply(410)

    with receiving(gone) as old:
        made = await endpoint(workshop, owner, old.url)
        await become_ready(workshop, owner)
        try:
            replacing = sending(workshop, receiver, old, seconds=60)
            async with workshop.working(replacing=replacing, names=ONLY):
                await dispatch(workshop).round()
                await eventually(lambda: _some(old.received))
                async with workshop.database.transaction(Access(owner.tenant_id)) as session:
                    changed = "UPDATE webhook SET url = :url, revision = revision + 1"
                    await session.execute(text(changed), {"url": receiver.url})
                released.set()
                await ended(workshop, made)
        finally:
            released.set()
    [row] = await rows(workshop, made, "webhook")
    assert (row.enabled, row.disabled_reason) == (True, None)


async def _some(received: list[Received]) -> bool:
    return bool(received)


async def test_both_secrets_sign_while_they_are_exchanged_and_then_the_old_one_is_destroyed(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    public = await add_secret(workshop, made.row, SignatureScheme.ED25519)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        old = (await webhooks.signing_secrets(session, [made.row.id]))[made.row.id][-1]
        old.expires_at = datetime.now(UTC) + timedelta(hours=24)
    clearing = SpentSecrets(workshop.database, workshop.stores.blobs)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await become_ready(workshop, owner)
        await dispatch(workshop).round()
        await ended(workshop, made)
        [request] = receiver.received
        made.verify(request)
        assert public.public_key is not None
        verify_ed25519(public.public_key, request.headers, request.body)
        await clearing.round()
        assert await workshop.stores.blobs.read_all(owner.tenant_id, old.blob_id)
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await session.execute(
                text("UPDATE webhook_secret SET expires_at = now() WHERE id = :id"), {"id": old.id}
            )
        await clearing.round()
        with pytest.raises(KeyDestroyed):
            await workshop.stores.blobs.read_all(owner.tenant_id, old.blob_id)
        await become_ready(workshop, owner)
        await dispatch(workshop).round()
        await ended(workshop, made, 2)
    signatures = receiver.received[1].headers["webhook-signature"].split(" ")
    assert [each.partition(",")[0] for each in signatures] == ["v1a"]


async def test_a_deleted_endpoint_leaves_nothing_and_ends_what_was_pending(
    workshop: Workshop, owner: TenantIds, receiver: Receiver
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    await become_ready(workshop, owner)
    await dispatch(workshop).round()
    [pending] = await deliveries(workshop, made)
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE webhook SET deleted_at = now(), enabled = false"))
        secret = (await webhooks.signing_secrets(session, [made.row.id]))[made.row.id][0]
    await SpentSecrets(workshop.database, workshop.stores.blobs).round()
    for table in ("webhook", "webhook_secret", "webhook_delivery"):
        assert await rows(workshop, made, table) == [], table
    with pytest.raises(KeyDestroyed):
        await workshop.stores.blobs.read_all(owner.tenant_id, secret.blob_id)
    async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
        await handle(workshop, pending).result()
    assert receiver.received == []


async def test_a_busy_endpoint_is_deleted_page_by_page_and_its_secret_condemned_before(
    workshop: Workshop, owner: TenantIds, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await endpoint(workshop, owner, receiver.url)
    for _ in range(5):
        await become_ready(workshop, owner)
    await dispatch(workshop).round()
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        await session.execute(text("UPDATE webhook SET deleted_at = now(), enabled = false"))
    clearing = SpentSecrets(workshop.database, workshop.stores.blobs)
    monkeypatch.setattr(spent_webhooks, "DELIVERIES_AT_ONCE", 2)

    async def unavailable(*_: object) -> None:
        raise ObjectStoreUnavailable("the store is away")

    with monkeypatch.context() as away:
        away.setattr(workshop.stores.blobs, "destroy", unavailable)
        await clearing.round()
    [blob] = await rows(workshop, made, "blob WHERE kind = 'webhook-secret'")
    assert blob.destroyed_at is not None, "nobody verifies it any more"
    assert len(await rows(workshop, made, "webhook_secret")) == 1, "it is tried again"
    await clearing.round()
    for table in ("webhook", "webhook_secret", "webhook_delivery"):
        assert await rows(workshop, made, table) == [], table

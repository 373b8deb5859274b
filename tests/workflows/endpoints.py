"""Endpoints of webhooks as the API makes them, and what becomes of the events that they are sent."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from standardwebhooks import Webhook as Verifier
from temporalio.client import WorkflowHandle

from activities.webhooks.activity import Webhooks
from activities.webhooks.places import Places
from db.models import Job, Webhook, WebhookDelivery, new_id
from db.queries import webhooks
from db.session import Access
from muniment.contracts import queues
from muniment.contracts.deliver_webhook import workflow_id
from muniment.egress import Egress, EgressPolicy, tls_context
from muniment.webhook_signing import SignatureScheme, SigningKey, new_signing_key
from tests.patience import on_a_busy_machine
from tests.receiver import Received, Receiver, Reply, receiving
from tests.workflows.workshop import TenantIds, Workshop
from worker.webhook_dispatch import DispatchPolicy, WebhookDispatch

ONLY = (queues.WORKFLOWS, queues.DELIVER)
AT_ONCE = (0.0, 0.0, 0.0)


@dataclass
class Endpoint:
    row: Webhook
    key: SigningKey

    def verify(self, request: Received) -> dict[str, Any]:
        """What was sent, where the receiver's library believes it."""
        assert self.key.shared_secret is not None
        message = Verifier(self.key.shared_secret).verify(request.body, request.headers)
        assert isinstance(message, dict)
        return message


def sending(
    workshop: Workshop,
    *receivers: Receiver,
    per_endpoint: int = 4,
    per_tenant: int = 16,
    seconds: float = 20,
) -> list[Callable[..., Any]]:
    """The activities, which may reach those receivers."""
    policy = EgressPolicy(
        frozenset(each.port for each in receivers), (ip_network("127.0.0.0/8"),), allow_http=True
    )
    egress = Egress(
        policy, tls_context(), _no_names, connect_seconds=seconds, total_seconds=seconds
    )
    places = Places(per_endpoint, per_tenant)
    activities = Webhooks(workshop.database, workshop.stores.blobs, egress, places)
    return [activities.send_webhook, activities.record_attempt]


async def _no_names(host: str, port: int) -> list[str]:
    """Receivers of these tests are named by their addresses."""
    raise OSError(host)


def dispatch(
    workshop: Workshop, delays: tuple[float, ...] = AT_ONCE, max_pending: int = 1_000
) -> WebhookDispatch:
    dsn = workshop.settings.database.url.get_secret_value()
    policy = DispatchPolicy(delays, max_pending)
    return WebhookDispatch(workshop.database, workshop.client, policy, dsn, interval_seconds=3600)


async def endpoint(
    workshop: Workshop,
    owner: TenantIds,
    url: str,
    events: tuple[str, ...] = ("file.ready",),
    scheme: SignatureScheme = SignatureScheme.HMAC_SHA256,
) -> Endpoint:
    """As the API makes it."""
    row = Webhook(
        id=new_id(),
        tenant_id=owner.tenant_id,
        principal_id=owner.principal_id,
        url=url,
        description="",
        events=list(events),
    )
    async with workshop.database.transaction(Access(owner.tenant_id)) as session:
        session.add(row)
    return Endpoint(row, await add_secret(workshop, row, scheme))


async def add_secret(workshop: Workshop, row: Webhook, scheme: SignatureScheme) -> SigningKey:
    key = new_signing_key(scheme)
    sealed = await workshop.stores.blobs.put_bytes(row.tenant_id, key.secret)
    async with workshop.database.transaction(Access(row.tenant_id)) as session:
        await webhooks.add_secret(session, row, scheme.value, key.public_key, sealed)
    return key


async def set_state(workshop: Workshop, job: Job, state: str) -> None:
    async with workshop.database.transaction(Access(job.tenant_id)) as session:
        await session.execute(
            text("UPDATE file SET state = :state WHERE id = :id"),
            {"state": state, "id": job.file_id},
        )


async def become_ready(workshop: Workshop, owner: TenantIds) -> Job:
    """A file that is ready from now on, and its job."""
    job = await workshop.upload(owner, uuid4().bytes)
    await set_state(workshop, job, "ready")
    return job


async def deliveries(workshop: Workshop, made: Endpoint) -> list[WebhookDelivery]:
    return await rows(workshop, made, f"webhook_delivery WHERE webhook_id = '{made.row.id}'")


async def rows(workshop: Workshop, made: Endpoint, what: str) -> list[Any]:
    async with workshop.database.transaction(Access(made.row.tenant_id)) as session:
        return list(await session.execute(text(f"SELECT * FROM {what}")))  # noqa: S608 - of these tests


async def ended(workshop: Workshop, made: Endpoint, count: int = 1) -> list[WebhookDelivery]:
    """The endpoint's deliveries once so many have ended and none is pending."""

    async def over() -> list[WebhookDelivery] | None:
        found = await deliveries(workshop, made)
        is_over = len(found) >= count and all(each.state != "pending" for each in found)
        return found if is_over else None

    return await eventually(over)


async def eventually(probe: Callable[[], Awaitable[Any]], seconds: float = 60) -> Any:
    async with asyncio.timeout(on_a_busy_machine(seconds)):
        while not (found := await probe()):  # noqa: ASYNC110 - of another process
            await asyncio.sleep(0.05)
    return found


def handle(workshop: Workshop, delivery: WebhookDelivery) -> WorkflowHandle[Any, Any]:
    return workshop.client.get_workflow_handle(workflow_id(delivery.id, delivery.round))


async def delivered(workshop: Workshop, owner: TenantIds) -> WorkflowHandle[Any, Any]:
    """The workflow of a delivery that was refused once and then taken."""
    with receiving() as receiver:
        receiver.reply = lambda _: Reply(503 if len(receiver.received) == 1 else 200)
        made = await endpoint(workshop, owner, receiver.url)
        await become_ready(workshop, owner)
        async with workshop.working(replacing=sending(workshop, receiver), names=ONLY):
            await dispatch(workshop, (0.0, 0.5)).round()
            [found] = await ended(workshop, made)
            assert (found.state, found.attempts) == ("delivered", 2)
            return handle(workshop, found)


async def attempted(workshop: Workshop, made: Endpoint, count: int) -> bool:
    return len(await rows(workshop, made, "webhook_attempt")) >= count

"""Temporal's face of webhooks: an attempt, and its record."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.webhooks.message import body_of, retry_after_seconds
from activities.webhooks.places import Places
from db.audit import Act, record
from db.models import Webhook, WebhookDelivery, WebhookEvent, WebhookSecret, now
from db.queries import webhook_deliveries, webhooks
from db.session import Access, Database
from muniment.contracts.deliver_webhook import (
    TEST_EVENT,
    Attempt,
    AttemptInput,
    DeliveryState,
    Outcome,
    RecordAttemptInput,
    WebhookActivities,
)
from muniment.egress import Answer, Egress
from muniment.errors import AddressNotAllowed, MunimentError
from muniment.objects import BlobStore
from muniment.telemetry.metrics import webhook_attempts_total, webhook_deliveries_total
from muniment.webhook_signing import SignatureScheme, SigningKey, signed_headers

logger = logging.getLogger(__name__)

USER_AGENT = "Muniment-Webhooks/1.0"
GONE_STATUS = 410


@dataclass(frozen=True)
class _Due:
    """What is to be sent where, signed with what."""

    webhook: Webhook
    event: WebhookEvent
    secrets: list[WebhookSecret]


@dataclass(frozen=True)
class _Recorded:
    """The delivery's state by now; `is_new`: an attempt that was not written down before."""

    state: str
    is_new: bool


class Webhooks(WebhookActivities):
    """`places`: attempts that this process makes at a time."""

    def __init__(
        self, database: Database, blobs: BlobStore, egress: Egress, places: Places
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._egress = egress
        self._places = places

    @activity.defn(name="send_webhook")
    async def send_webhook(self, request: AttemptInput) -> Attempt:
        # Before anything is read: what waits for a place must not cost the database a look each time.
        with self._places.taken(request.tenant_id, request.webhook_id):
            async with _attempt(), heartbeats():
                due = await self._due(request)
                if isinstance(due, Outcome):
                    return Attempt(outcome=due)
                return await self._send(due)

    @activity.defn(name="record_attempt")
    async def record_attempt(self, request: RecordAttemptInput) -> None:
        async with _attempt():
            recorded = await self._record(request)
        if recorded is not None:
            _count(request.attempt, recorded)

    async def _record(self, request: RecordAttemptInput) -> _Recorded | None:
        """None where the delivery was over before."""
        async with self._database.transaction(Access(request.tenant_id)) as session:
            delivery = await webhook_deliveries.delivery_at_work(
                session, request.delivery_id, request.round, for_update=True
            )
            if delivery is None:
                return None
            is_new = await webhook_deliveries.record_attempt(
                session, delivery, request.number, request.attempt, request.next_attempt_at
            )
            if delivery.state != DeliveryState.PENDING:
                record(session, webhook_deliveries.end_of(delivery))
                _tell(delivery)
            gone = request.attempt.outcome is Outcome.GONE
            if gone and await webhooks.switch_off(
                session, delivery.webhook_id, Outcome.GONE.value, request.attempt.revision
            ):
                act = Act("webhook.disabled", "webhook", delivery.webhook_id, request.tenant_id)
                record(session, act)
        return _Recorded(delivery.state, is_new)

    async def _due(self, request: AttemptInput) -> _Due | Outcome:
        """What is to be sent, or why nothing is. Who made the endpoint may have lost the right to the
        file since the last attempt."""
        async with self._database.transaction(Access(request.tenant_id)) as session:
            delivery = await webhook_deliveries.delivery_at_work(
                session, request.delivery_id, request.round
            )
            if delivery is None:
                return Outcome.ENDPOINT_OFF
            event = await session.get_one(WebhookEvent, delivery.event_id)
            webhook = await session.get_one(Webhook, delivery.webhook_id)
            if webhook.deleted_at is not None or not webhook.enabled:
                return Outcome.ENDPOINT_OFF
            secrets = (await webhooks.signing_secrets(session, [webhook.id]))[webhook.id]
            if not secrets:  # deleted since
                return Outcome.ENDPOINT_OFF
        if event.type != TEST_EVENT:
            access = Access(request.tenant_id, webhook.principal_id)
            async with self._database.transaction(access) as session:
                if not await webhook_deliveries.is_visible(session, event.id):
                    return Outcome.NOT_VISIBLE
        return _Due(webhook, event, secrets)

    async def _send(self, due: _Due) -> Attempt:
        body = body_of(due.event)
        keys = [await self._key(secret) for secret in due.secrets]
        headers = {
            **signed_headers(keys, str(due.event.id), int(time.time()), body),
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Accept-Encoding": "identity",
        }
        at, begun = now(), time.monotonic()
        answer: Answer | None = None
        try:
            answer = await self._egress.post(due.webhook.url, headers, body)
            outcome = _outcome_of(answer.status)
        except AddressNotAllowed:
            outcome = Outcome.ADDRESS_NOT_ALLOWED
        except TimeoutError:
            outcome = Outcome.TIMED_OUT
        except ConnectionError:
            outcome = Outcome.UNREACHABLE
        return Attempt(
            outcome=outcome,
            at=at,
            status=answer.status if answer else None,
            duration_ms=round((time.monotonic() - begun) * 1000),
            revision=due.webhook.revision,
            retry_after_seconds=retry_after_seconds(answer.retry_after, now()) if answer else None,
        )

    async def _key(self, secret: WebhookSecret) -> SigningKey:
        content = await self._blobs.read_all(secret.tenant_id, secret.blob_id)
        return SigningKey(SignatureScheme(secret.scheme), content)


def _outcome_of(status: int) -> Outcome:
    if 200 <= status < 300:
        return Outcome.DELIVERED
    if 300 <= status < 400:
        return Outcome.REDIRECTED
    return Outcome.GONE if status == GONE_STATUS else Outcome.REFUSED


def _count(attempt: Attempt, recorded: _Recorded) -> None:
    """What was committed."""
    if recorded.is_new:
        webhook_attempts_total.labels(attempt.outcome.value).inc()
    if recorded.state != DeliveryState.PENDING:
        webhook_deliveries_total.labels(recorded.state, attempt.outcome.value).inc()


def _tell(delivery: WebhookDelivery) -> None:
    if delivery.state != DeliveryState.FAILED:
        return
    ids = {"delivery_id": str(delivery.id), "webhook_id": str(delivery.webhook_id)}
    logger.warning("a webhook was not delivered", extra={**ids, "outcome": delivery.reason})


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error

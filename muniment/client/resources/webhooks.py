"""`/v1/webhooks`: endpoints outside that are told what happens here."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, matching, segment
from muniment.client.models import Listing, Record, Tagged
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_model, read_nothing
from muniment.client.protocol import Call

Scheme = Literal["hmac-sha256", "ed25519"]
DeliveryState = Literal["pending", "delivered", "failed"]

_PATH = "/v1/webhooks"


class WebhookSecret(Record):
    """A key that signs. `public_key`: of ed25519. `expires_at`: of one that was exchanged."""

    id: UUID
    scheme: str
    public_key: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


class Webhook(Tagged):
    """An endpoint, within the rights of the principal that made it. `secret` (`whsec_…`) stands in the
    answer that made it, and nowhere else."""

    id: UUID
    principal_id: UUID | None = None
    url: str
    description: str = ""
    events: Sequence[str] = ()
    enabled: bool = True
    disabled_reason: str | None = None
    secrets: Sequence[WebhookSecret] = ()
    created_at: datetime | None = None
    updated_at: datetime | None = None
    secret: str | None = None


class WebhookEvent(Record):
    """What happened: ids and states. `id` is the message's `webhook-id`, at every attempt."""

    id: UUID
    type: str
    timestamp: datetime | None = None
    data: Mapping[str, JsonValue] = {}


class WebhookAttempt(Record):
    """`status` is None where there was no answer."""

    round: int
    number: int
    at: datetime
    outcome: str
    status: int | None = None
    duration_ms: int = 0


class WebhookDelivery(Record):
    """An event on its way. `failed`: nothing more is tried until it is replayed. `log` are its attempts,
    newest first, where one delivery was asked for."""

    id: UUID
    webhook_id: UUID
    event: WebhookEvent
    state: str
    reason: str | None = None
    round: int = 1
    attempts: int = 0
    next_attempt_at: datetime | None = None
    created_at: datetime | None = None
    finished_at: datetime | None = None
    log: Sequence[WebhookAttempt] = ()


class Replayed(Record):
    """How many deliveries are sent again; `next_cursor`, where more lie in the range."""

    replayed: int
    next_cursor: str | None = None


def list_webhooks(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[Webhook]]:
    """Newest first."""
    return get(_PATH, Listing[Webhook], {"limit": limit, "cursor": cursor})


def get_webhook(webhook_id: Id) -> Call[Webhook]:
    return get(f"{_PATH}/{segment(webhook_id)}", Webhook)


def create_webhook(
    url: str, events: Sequence[str], *, description: str = "", scheme: Scheme | None = None
) -> Call[Webhook]:
    """Its `secret` is told this once. None, if the answer to a first attempt was lost: then rotate it."""
    json: dict[str, JsonValue] = {"url": url, "events": [*events], "description": description}
    return create(_PATH, Webhook, json | given(scheme=scheme))


def change_webhook(
    webhook_id: Id,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    enabled: bool | None = None,
    etag: str | None = None,
) -> Call[Webhook]:
    """What is None stays. Deliveries that are pending go to the new address. With the `etag` of a Webhook
    that was read: PreconditionFailed if it has been changed since."""
    wanted: list[JsonValue] | None = None if events is None else [*events]
    json = given(url=url, events=wanted, description=description, enabled=enabled)
    return Call(
        "PATCH",
        f"{_PATH}/{segment(webhook_id)}",
        read_model(Webhook),
        json=json,
        headers=matching(etag),
        repeatable=etag is None,
    )


def delete_webhook(webhook_id: Id) -> Call[None]:
    """With its deliveries."""
    return Call("DELETE", f"{_PATH}/{segment(webhook_id)}", read_nothing)


def try_webhook(webhook_id: Id) -> Call[WebhookDelivery]:
    """Sends a `webhook.test`."""
    return create(f"{_PATH}/{segment(webhook_id)}/test", WebhookDelivery)


def rotate_webhook_secret(
    webhook_id: Id, *, scheme: Scheme | None = None, expire_previous_at_once: bool = False
) -> Call[Webhook]:
    """A new secret, told this once; the one before signs beside it for a while, unless somebody else has
    come to know it."""
    json = {"expire_previous_at_once": expire_previous_at_once} | given(scheme=scheme)
    return create(f"{_PATH}/{segment(webhook_id)}/rotate-secret", Webhook, json)


def list_deliveries(
    webhook_id: Id,
    *,
    state: DeliveryState | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Listing[WebhookDelivery]]:
    """Newest first."""
    parameters = {"state": state, "limit": limit, "cursor": cursor}
    return get(f"{_PATH}/{segment(webhook_id)}/deliveries", Listing[WebhookDelivery], parameters)


def get_delivery(webhook_id: Id, delivery_id: Id) -> Call[WebhookDelivery]:
    """With its attempts."""
    return get(f"{_PATH}/{segment(webhook_id)}/deliveries/{segment(delivery_id)}", WebhookDelivery)


def replay_delivery(webhook_id: Id, delivery_id: Id) -> Call[WebhookDelivery]:
    """Sends it again, from the first attempt on."""
    return create(
        f"{_PATH}/{segment(webhook_id)}/deliveries/{segment(delivery_id)}/replay", WebhookDelivery
    )


def replay_range(
    webhook_id: Id,
    begin: datetime,
    end: datetime,
    *,
    only_failed: bool = True,
    cursor: str | None = None,
) -> Call[Replayed]:
    """Sends again what was made from `begin` on and before `end`."""
    json: dict[str, JsonValue] = {
        "from": begin.isoformat(),
        "to": end.isoformat(),
        "only_failed": only_failed,
    }
    return create(f"{_PATH}/{segment(webhook_id)}/replay", Replayed, json | given(cursor=cursor))


class WebhookOperations:
    """`/v1/webhooks`."""

    list = Operation(list_webhooks)
    get = Operation(get_webhook)
    create = Operation(create_webhook)
    change = Operation(change_webhook)
    delete = Operation(delete_webhook)
    test = Operation(try_webhook)
    rotate_secret = Operation(rotate_webhook_secret)
    deliveries = Operation(list_deliveries)
    delivery = Operation(get_delivery)
    replay = Operation(replay_delivery)
    replay_range = Operation(replay_range)


class Webhooks(WebhookOperations, Resource):
    """`/v1/webhooks`."""


class AsyncWebhooks(WebhookOperations, AsyncResource):
    """`/v1/webhooks`."""

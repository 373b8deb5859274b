"""`muniment webhooks`: endpoints outside that are told what happens here."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.cli.administration.printing import (
    Columns,
    connected,
    print_done,
    print_listing,
    print_record,
    print_secret,
    when,
    yes,
)
from muniment.cli.options import AsJson, Home, Limit, group_of_commands

if TYPE_CHECKING:
    from muniment.client.resources.webhooks import Webhook, WebhookDelivery

webhooks = group_of_commands("Endpoints outside that are told what happens here.")


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


WebhookId = Annotated[str, typer.Argument(metavar="WEBHOOK", help="Id of the endpoint.")]
Events = Annotated[
    list[str] | None, typer.Option("--event", help="A type, as file.ready; several may be named.")
]

COLUMNS: "Columns[Webhook]" = {
    "id": lambda each: str(each.id),
    "name": lambda each: each.url,
    "events": lambda each: ", ".join(each.events),
    "enabled": lambda each: yes(each.enabled) or f"no {each.disabled_reason or ''}".strip(),
    "created": lambda each: when(each.created_at),
}
DELIVERIES: "Columns[WebhookDelivery]" = {
    "id": lambda each: str(each.id),
    "event": lambda each: each.event.type,
    "state": lambda each: each.state,
    "reason": lambda each: each.reason or "",
    "attempts": lambda each: str(each.attempts),
    "next": lambda each: when(each.next_attempt_at),
    "created": lambda each: when(each.created_at),
}


@webhooks.command("list")
def list_webhooks(limit: Limit = 50, home: Home = None, as_json: AsJson = False) -> None:
    """List endpoints, newest first."""
    with connected(home) as muniment:
        print_listing(muniment.webhooks.list(limit=limit), COLUMNS, as_json=as_json)


@webhooks.command("create")
def create_webhook(
    url: Annotated[str, typer.Argument(help="Where messages are sent to.")],
    events: Events = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Register an endpoint, and print the secret that signs."""
    if not events:
        raise typer.BadParameter("name at least one --event")
    with connected(home) as muniment:
        made = muniment.webhooks.create(url, events, description=description)
        if as_json:
            print_record(made, COLUMNS, as_json=True)
        else:
            print_secret(made.secret)


@webhooks.command("change")
def change_webhook(
    webhook_id: WebhookId,
    url: Annotated[str | None, typer.Option(help="Another address.")] = None,
    events: Events = None,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it is told anything.")
    ] = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Change an endpoint, switch it off or on. What is not named stays."""
    if url is None and not events and enabled is None:
        raise typer.BadParameter("say what to change")
    with connected(home) as muniment:
        changed = muniment.webhooks.change(
            webhook_id, url=url, events=events or None, enabled=enabled
        )
        print_record(changed, COLUMNS, as_json=as_json)


@webhooks.command("delete")
def delete_webhook(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """Delete an endpoint, with its deliveries."""
    with connected(home) as muniment:
        muniment.webhooks.delete(webhook_id)
        print_done(f"deleted {webhook_id}", as_json=as_json)


@webhooks.command("test")
def try_webhook(webhook_id: WebhookId, home: Home = None, as_json: AsJson = False) -> None:
    """Send an endpoint a message to try it."""
    with connected(home) as muniment:
        print_record(muniment.webhooks.test(webhook_id), DELIVERIES, as_json=as_json)


@webhooks.command("deliveries")
def list_deliveries(
    webhook_id: WebhookId,
    state: Annotated[DeliveryState | None, typer.Option(help="Only these.")] = None,
    limit: Limit = 50,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """List what was sent to an endpoint, or is to be; newest first."""
    with connected(home) as muniment:
        listing = muniment.webhooks.deliveries(
            webhook_id, state=None if state is None else state.value, limit=limit
        )
        print_listing(listing, DELIVERIES, as_json=as_json)


@webhooks.command("replay")
def replay_delivery(
    webhook_id: WebhookId,
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY", help="Id of the delivery.")],
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Send a message again that was delivered, or given up."""
    with connected(home) as muniment:
        replayed = muniment.webhooks.replay(webhook_id, delivery_id)
        print_record(replayed, DELIVERIES, as_json=as_json)


@webhooks.command("rotate-secret")
def rotate_secret(
    webhook_id: WebhookId,
    leaked: Annotated[
        bool, typer.Option("--leaked", help="Those before it sign no more, from now on.")
    ] = False,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Give an endpoint a new secret, and print it."""
    with connected(home) as muniment:
        changed = muniment.webhooks.rotate_secret(webhook_id, expire_previous_at_once=leaked)
        if as_json:
            print_record(changed, COLUMNS, as_json=True)
        else:
            print_secret(changed.secret)

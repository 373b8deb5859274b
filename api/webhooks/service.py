"""Webhooks: making, changing, deleting; exchanging secrets."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.preconditions import require_match
from api.services import Services
from api.webhooks.schemas import NewWebhook, Webhook, WebhookChange, WebhookSecret
from db.audit import record
from db.models import Webhook as WebhookRecord
from db.models import WebhookSecret as SecretRecord
from db.models import now
from db.queries import webhooks
from muniment.egress import EgressPolicy, destination, require_elsewhere
from muniment.errors import AddressNotAllowed, Conflict, NotFound
from muniment.objects import SealedBlob
from muniment.webhook_signing import SigningKey

MAX_SIGNING = 4
"""Secrets of an endpoint that sign at a time: receivers read the header's signatures one by one."""


def whose(caller: Caller) -> UUID | None:
    """Whose endpoints the caller finds: its own, or (None) everyone's of the tenant."""
    return None if caller.is_admin else caller.principal_id


def entity_tag(found: WebhookRecord) -> str:
    return f'"{found.revision}"'


def webhook_view(found: WebhookRecord, secrets: Sequence[SecretRecord]) -> Webhook:
    columns = found.model_dump()
    return Webhook.model_validate(
        {**columns, "secrets": [WebhookSecret.model_validate(each) for each in secrets]}
    )


async def show(session: AsyncSession, found: WebhookRecord) -> Webhook:
    return webhook_view(found, (await webhooks.signing_secrets(session, [found.id]))[found.id])


async def require_webhook(
    session: AsyncSession, caller: Caller, webhook_id: UUID, *, for_update: bool = False
) -> WebhookRecord:
    found = await webhooks.get_webhook(
        session, webhook_id, principal_id=whose(caller), for_update=for_update
    )
    if found is None:
        raise NotFound("there is no such webhook")
    return found


def require_sendable(url: str, policy: EgressPolicy) -> None:
    """Raises AddressNotAllowed for what no attempt would be made to. Where a name leads is judged at
    each attempt, and `localhost` now."""
    try:
        require_elsewhere(destination(url, policy), policy)
    except AddressNotAllowed as error:
        raise AddressNotAllowed(
            f"url {error.detail}", errors=[{"field": "url", "detail": error.detail}]
        ) from None


async def create(
    session: AsyncSession,
    caller: Caller,
    services: Services,
    body: NewWebhook,
    made: tuple[SigningKey, SealedBlob],
) -> WebhookRecord:
    """The caller's, whose rights it has."""
    limit = services.webhooks.max_endpoints
    if await webhooks.count_webhooks(session) >= limit:
        raise Conflict(f"the tenant has {limit} webhooks", remedy="Delete one that is not used.")
    webhook = WebhookRecord(
        tenant_id=caller.tenant_id,
        principal_id=caller.principal_id,
        url=body.url,
        description=body.description,
        events=[*body.events],
    )
    session.add(webhook)
    await session.flush()
    await _add_secret(session, webhook, made)
    payload: dict[str, JsonValue] = {"events": [*webhook.events], "scheme": made[0].scheme.value}
    record(session, caller.act("webhook.created", "webhook", webhook.id, payload))
    return webhook


async def change(
    session: AsyncSession,
    caller: Caller,
    if_match: str | None,
    webhook_id: UUID,
    body: WebhookChange,
) -> WebhookRecord:
    found = await require_webhook(session, caller, webhook_id, for_update=True)
    require_match(if_match, entity_tag(found))
    if body.url is not None:
        found.url = body.url
    if body.events is not None:
        found.events = [*body.events]
    if body.description is not None:
        found.description = body.description
    if body.enabled is not None:
        found.enabled, found.disabled_reason = body.enabled, None
    found.revision += 1
    found.updated_at = now()
    await session.flush()
    payload: dict[str, JsonValue] = {"fields": [*sorted(body.model_fields_set)]}
    record(session, caller.act("webhook.changed", "webhook", webhook_id, payload))
    return found


async def delete(session: AsyncSession, caller: Caller, webhook_id: UUID) -> None:
    """Nothing is sent any more from here on; secrets and deliveries are cleared away by a worker."""
    found = await require_webhook(session, caller, webhook_id, for_update=True)
    found.deleted_at = now()
    found.enabled = False
    record(session, caller.act("webhook.deleted", "webhook", webhook_id))


async def exchange_secret(
    session: AsyncSession,
    caller: Caller,
    webhook_id: UUID,
    made: tuple[SigningKey, SealedBlob],
    overlap: timedelta | None,
) -> WebhookRecord:
    """The new one signs at once; those before go on for that long, so that a receiver always knows
    one of the signatures. Without an overlap they end now, however long they were to go on."""
    found = await require_webhook(session, caller, webhook_id, for_update=True)
    signing = (await webhooks.signing_secrets(session, [webhook_id]))[webhook_id]
    if overlap is not None and len(signing) >= MAX_SIGNING:
        raise Conflict(
            f"{MAX_SIGNING} secrets sign already",
            remedy="Wait until one that was exchanged has expired.",
        )
    for secret in signing:
        if overlap is None:
            secret.expires_at = now()
        else:
            secret.expires_at = secret.expires_at or now() + overlap
    await _add_secret(session, found, made)
    found.revision += 1
    found.updated_at = now()
    await session.flush()
    payload: dict[str, JsonValue] = {
        "scheme": made[0].scheme.value,
        "previous_expired": overlap is None,
    }
    record(session, caller.act("webhook.secret_rotated", "webhook", webhook_id, payload))
    return found


async def _add_secret(
    session: AsyncSession, webhook: WebhookRecord, made: tuple[SigningKey, SealedBlob]
) -> None:
    key, sealed = made
    await webhooks.add_secret(session, webhook, key.scheme.value, key.public_key, sealed)

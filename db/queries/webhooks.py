"""Endpoints of webhooks, and the sealed secrets that sign for them.

An endpoint is its maker's: who could change another's would receive what that one may read. So are
they found by their maker, and by administrators, who see everything anyway.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from db.models import Blob, Webhook, WebhookSecret, now
from muniment.objects import SealedBlob

_KIND = "webhook-secret"


@dataclass(frozen=True)
class SpentSecret:
    """One that signs no more: another took its place, or its endpoint was deleted."""

    tenant_id: UUID
    secret_id: UUID
    blob_id: UUID


async def list_webhooks(
    session: AsyncSession,
    *,
    principal_id: UUID | None,
    limit: int,
    after: tuple[datetime, UUID] | None = None,
) -> Sequence[Webhook]:
    """Newest first; of one principal, or of the whole tenant when it is None."""
    statement = (
        select(Webhook)
        .where(col(Webhook.deleted_at).is_(None))
        .order_by(col(Webhook.created_at).desc(), col(Webhook.id).desc())
        .limit(limit)
    )
    if principal_id is not None:
        statement = statement.where(col(Webhook.principal_id) == principal_id)
    if after is not None:
        statement = statement.where(tuple_(col(Webhook.created_at), col(Webhook.id)) < after)
    return (await session.scalars(statement)).all()


async def get_webhook(
    session: AsyncSession, webhook_id: UUID, *, principal_id: UUID | None, for_update: bool = False
) -> Webhook | None:
    """As above; None for a deleted one too."""
    statement = select(Webhook).where(
        col(Webhook.id) == webhook_id, col(Webhook.deleted_at).is_(None)
    )
    if principal_id is not None:
        statement = statement.where(col(Webhook.principal_id) == principal_id)
    if for_update:
        statement = statement.with_for_update()
    return (await session.scalars(statement)).one_or_none()


async def count_webhooks(session: AsyncSession) -> int:
    """Of the tenant, whose endpoints are counted by one transaction at a time."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock("
            "hashtextextended('webhook ' || (SELECT current_tenant())::text, 0))"
        )
    )
    counted = select(func.count()).select_from(Webhook).where(col(Webhook.deleted_at).is_(None))
    return int((await session.execute(counted)).scalar_one())


async def add_secret(
    session: AsyncSession, webhook: Webhook, scheme: str, public_key: str | None, sealed: SealedBlob
) -> WebhookSecret:
    """Notes where the secret lies. It is verified in its turn as other blobs are, and never shared: a
    secret has no deduplication tag."""
    session.add(
        Blob(
            id=sealed.blob_id,
            tenant_id=webhook.tenant_id,
            kind=_KIND,
            size=sealed.size,
            sha256=sealed.sha256,
            created_at=now(),
        )
    )
    await session.flush()
    secret = WebhookSecret(
        tenant_id=webhook.tenant_id,
        webhook_id=webhook.id,
        scheme=scheme,
        blob_id=sealed.blob_id,
        public_key=public_key,
    )
    session.add(secret)
    await session.flush()
    return secret


async def signing_secrets(
    session: AsyncSession, webhook_ids: Sequence[UUID]
) -> dict[UUID, list[WebhookSecret]]:
    """Those that sign now, by endpoint, the newest first."""
    rows = await session.scalars(
        select(WebhookSecret)
        .where(
            col(WebhookSecret.webhook_id).in_(webhook_ids),
            or_(col(WebhookSecret.expires_at).is_(None), col(WebhookSecret.expires_at) > now()),
        )
        .order_by(col(WebhookSecret.id).desc())
    )
    found: dict[UUID, list[WebhookSecret]] = {webhook_id: [] for webhook_id in webhook_ids}
    for secret in rows:
        found[secret.webhook_id].append(secret)
    return found


async def switch_off(
    session: AsyncSession, webhook_id: UUID, reason: str, revision: int | None
) -> bool:
    """Whether it was on until now, and has not been changed since that revision."""
    switched = await session.execute(
        text(
            "UPDATE webhook SET enabled = false, disabled_reason = :reason,"
            " revision = revision + 1, updated_at = now()"
            " WHERE id = :webhook_id AND revision = :revision AND enabled"
            " AND deleted_at IS NULL RETURNING id"
        ),
        {"webhook_id": webhook_id, "reason": reason, "revision": revision},
    )
    return switched.first() is not None


async def spent_secrets(
    session: AsyncSession, after: UUID | None = None, max_rows: int = 100
) -> list[SpentSecret]:
    """Of all tenants, those after the given one; needs no tenant."""
    rows = await session.execute(
        text(
            "SELECT tenant_id, secret_id, blob_id"
            " FROM spent_webhook_secrets(CAST(:after AS uuid), :max_rows)"
        ),
        {"after": after, "max_rows": max_rows},
    )
    return [SpentSecret(**row) for row in rows.mappings()]


async def condemn_secret(session: AsyncSession, secret: SpentSecret) -> None:
    """Its key is about to be destroyed."""
    await session.execute(
        text("UPDATE blob SET destroyed_at = coalesce(destroyed_at, now()) WHERE id = :blob_id"),
        {"blob_id": secret.blob_id},
    )


async def forget_deliveries(session: AsyncSession, secret: SpentSecret, max_rows: int) -> int:
    """Of the secret's endpoint, if that was deleted; how many."""
    gone = await session.execute(
        text(
            "WITH gone AS (DELETE FROM webhook_delivery WHERE id IN ("
            " SELECT webhook_delivery.id FROM webhook_secret"
            " JOIN webhook ON webhook.id = webhook_secret.webhook_id"
            " JOIN webhook_delivery ON webhook_delivery.webhook_id = webhook.id"
            " WHERE webhook_secret.id = :secret_id AND webhook.deleted_at IS NOT NULL"
            " LIMIT :max_rows) RETURNING id) SELECT count(*) FROM gone"
        ),
        {"secret_id": secret.secret_id, "max_rows": max_rows},
    )
    return int(gone.scalar_one())


async def forget_secret(session: AsyncSession, secret: SpentSecret) -> None:
    """Its key was destroyed: drops what names it, and its endpoint with the last one, if that was
    deleted."""
    gone = await session.execute(
        text("DELETE FROM webhook_secret WHERE id = :secret_id RETURNING webhook_id"),
        {"secret_id": secret.secret_id},
    )
    await session.execute(
        text(
            "DELETE FROM webhook WHERE id = :webhook_id AND deleted_at IS NOT NULL AND NOT EXISTS"
            " (SELECT FROM webhook_secret WHERE webhook_secret.webhook_id = webhook.id)"
        ),
        {"webhook_id": gone.scalar_one_or_none()},
    )

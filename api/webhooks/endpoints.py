"""`/v1/webhooks`: the endpoints that events are sent to."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import JSONResponse, Response

from api.authentication import Caller, require
from api.idempotency import Answer, hash_of, idempotent, json_answer
from api.pagination import (
    DEFAULT_LIMIT,
    Cursor,
    Limit,
    Page,
    TimeCursor,
    cut,
    decode_cursor,
    encode_cursor,
)
from api.preconditions import IfMatch
from api.problem_responses import problems
from api.services import Provided
from api.webhooks import service
from api.webhooks.schemas import (
    NewWebhook,
    SecretExchange,
    Webhook,
    WebhookChange,
    WebhookWithSecret,
)
from api.webhooks.secrets import sealed_key
from db.queries import webhooks
from muniment.webhook_signing import SignatureScheme

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])

Manager = Annotated[Caller, Depends(require("webhooks:manage"))]


@router.get("", summary="List webhooks, newest first", responses=problems(400))
async def list_webhooks(
    services: Provided, caller: Manager, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[Webhook]:
    """The caller's own; for an administrator all of the tenant's."""
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        rows = await webhooks.list_webhooks(
            session,
            principal_id=service.whose(caller),
            limit=limit + 1,
            after=place.key() if place else None,
        )
        secrets = await webhooks.signing_secrets(session, [row.id for row in rows])
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last.created_at, id=last.id) if last else None
    return Page(
        data=[service.webhook_view(each, secrets[each.id]) for each in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.post(
    "",
    status_code=201,
    summary="Create a webhook",
    response_model=WebhookWithSecret,
    responses=problems(409, 422, 503),
)
async def create_webhook(
    body: NewWebhook, request: Request, services: Provided, caller: Manager
) -> Response:
    """Events are sent as [Standard Webhooks](https://www.standardwebhooks.com) from now on. The secret
    is shown in this answer and never again."""
    service.require_sendable(body.url, services.webhooks.egress)
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(body.model_dump_json())):
            return replayed
        async with (
            sealed_key(services, caller, body.scheme) as made,
            services.database.transaction(caller.access) as session,
        ):
            webhook = await service.create(session, caller, services, body, made)
            view = (await service.show(session, webhook)).model_dump(mode="json")
            location = f"/v1/webhooks/{webhook.id}"
            await attempt.complete(session, Answer(201, {**view, "secret": None}, location))
    return json_answer(Answer(201, {**view, "secret": made[0].shared_secret}, location))


@router.get(
    "/{webhook_id}", summary="Show a webhook", response_model=Webhook, responses=problems(404)
)
async def show_webhook(webhook_id: UUID, services: Provided, caller: Manager) -> Response:
    async with services.database.transaction(caller.access) as session:
        found = await service.require_webhook(session, caller, webhook_id)
        view = await service.show(session, found)
    return JSONResponse(view.model_dump(mode="json"), headers={"ETag": service.entity_tag(found)})


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    response_model=Webhook,
    responses=problems(404, 412, 422),
)
async def change_webhook(
    webhook_id: UUID,
    body: WebhookChange,
    services: Provided,
    caller: Manager,
    if_match: IfMatch = None,
) -> Response:
    """Switching it on again (`enabled`) sends what happens from then on; what it missed can be replayed
    where there are deliveries of it."""
    if body.url is not None:
        service.require_sendable(body.url, services.webhooks.egress)
    async with services.database.transaction(caller.access) as session:
        found = await service.change(session, caller, if_match, webhook_id, body)
        view = await service.show(session, found)
    return JSONResponse(view.model_dump(mode="json"), headers={"ETag": service.entity_tag(found)})


@router.delete(
    "/{webhook_id}", status_code=204, summary="Delete a webhook", responses=problems(404)
)
async def delete_webhook(webhook_id: UUID, services: Provided, caller: Manager) -> None:
    """Nothing is sent to it any more; its secrets are destroyed, and what became of its events is
    forgotten."""
    async with services.database.transaction(caller.access) as session:
        await service.delete(session, caller, webhook_id)


@router.post(
    "/{webhook_id}/rotate-secret",
    summary="Exchange the secret",
    response_model=WebhookWithSecret,
    responses=problems(404, 409, 422, 503),
)
async def rotate_secret(
    webhook_id: UUID,
    request: Request,
    services: Provided,
    caller: Manager,
    body: SecretExchange | None = None,
) -> Response:
    """The new secret signs at once, beside those before it, which expire after a day (a setting):
    messages have a signature of each until then, unless those are to expire at once. The secret is
    shown in this answer and never again."""
    wanted = body or SecretExchange()
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of(wanted.model_dump_json())):
            return replayed
        async with services.database.transaction(caller.access) as session:
            found = await service.require_webhook(session, caller, webhook_id)
            before = (await service.show(session, found)).secrets
        scheme = wanted.scheme or (before[0].scheme if before else SignatureScheme.HMAC_SHA256)
        overlap = None if wanted.expire_previous_at_once else services.webhooks.secret_overlap
        async with (
            sealed_key(services, caller, scheme) as made,
            services.database.transaction(caller.access) as session,
        ):
            found = await service.exchange_secret(session, caller, webhook_id, made, overlap)
            view = (await service.show(session, found)).model_dump(mode="json")
            await attempt.complete(session, Answer(200, {**view, "secret": None}, None))
    return json_answer(Answer(200, {**view, "secret": made[0].shared_secret}, None))

"""`/v1/webhooks/{id}/…`: what became of events, and sending them once more."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import JsonValue
from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.authentication import Caller
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
from api.problem_responses import problems
from api.services import Provided, Services
from api.webhooks import service
from api.webhooks.endpoints import Manager
from api.webhooks.schemas import (
    DeliveryWithAttempts,
    Replay,
    Replayed,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEvent,
)
from db.audit import record
from db.queries import webhook_deliveries
from db.queries.webhook_deliveries import MAX_REPLAYED, ReplayRange
from muniment.contracts.deliver_webhook import DeliveryState
from muniment.errors import Conflict, NotFound

router = APIRouter(prefix="/v1/webhooks/{webhook_id}", tags=["webhooks"])


@router.post(
    "/test",
    status_code=202,
    summary="Send a test event",
    response_model=WebhookDelivery,
    responses=problems(404, 409, 503),
)
async def test_webhook(
    webhook_id: UUID, request: Request, services: Provided, caller: Manager
) -> Response:
    """One attempt with an event of type `webhook.test`; the delivery tells what came of it."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of("")):
            return replayed
        async with services.database.transaction(caller.access) as session:
            await _room(session, caller, services, webhook_id)
            found = await service.require_webhook(session, caller, webhook_id)
            delivery = await webhook_deliveries.add_test(session, found)
            record(session, caller.act("webhook.tested", "webhook", webhook_id))
            view = await _show(session, webhook_id, delivery.id)
            location = f"/v1/webhooks/{webhook_id}/deliveries/{delivery.id}"
            answer = Answer(202, view.model_dump(mode="json"), location)
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.get(
    "/deliveries", summary="List deliveries, newest first", responses=problems(400, 404, 422)
)
async def list_deliveries(
    webhook_id: UUID,
    services: Provided,
    caller: Manager,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    state: DeliveryState | None = Query(
        None, description="`failed` are the dead letters: they wait to be replayed."
    ),
) -> Page[WebhookDelivery]:
    place = decode_cursor(TimeCursor, cursor)
    async with services.database.transaction(caller.access) as session:
        await service.require_webhook(session, caller, webhook_id)
        rows = await webhook_deliveries.list_deliveries(
            session,
            webhook_id,
            state=state,
            limit=limit + 1,
            after=place.key() if place else None,
        )
    shown, last = cut(rows, limit)
    following = TimeCursor(at=last["created_at"], id=last["id"]) if last else None
    return Page(
        data=[_view(each) for each in shown],
        next_cursor=encode_cursor(following) if following else None,
    )


@router.get("/deliveries/{delivery_id}", summary="Show a delivery", responses=problems(404))
async def show_delivery(
    webhook_id: UUID, delivery_id: UUID, services: Provided, caller: Manager
) -> DeliveryWithAttempts:
    """With its attempts."""
    async with services.database.transaction(caller.access) as session:
        await service.require_webhook(session, caller, webhook_id)
        view = await _show(session, webhook_id, delivery_id)
        attempts = await webhook_deliveries.list_attempts(session, delivery_id)
    log = [WebhookAttempt.model_validate(dict(each)) for each in attempts]
    return DeliveryWithAttempts(**view.model_dump(), log=log)


@router.post(
    "/deliveries/{delivery_id}/replay",
    status_code=202,
    summary="Deliver once more",
    response_model=WebhookDelivery,
    responses=problems(404, 409),
)
async def replay_delivery(
    webhook_id: UUID, delivery_id: UUID, request: Request, services: Provided, caller: Manager
) -> Response:
    """The same event under the same `webhook-id`, by the whole schedule again."""
    async with idempotent(request, caller, services.database) as attempt:
        if replayed := attempt.replay(hash_of("")):
            return replayed
        async with services.database.transaction(caller.access) as session:
            await _room(session, caller, services, webhook_id)
            await _show(session, webhook_id, delivery_id)
            if not await webhook_deliveries.replay(session, webhook_id, delivery_id):
                raise Conflict("the delivery is pending", remedy="Wait for its end.")
            act = caller.act("webhook.delivery_replayed", "webhook_delivery", delivery_id)
            record(session, act)
            view = await _show(session, webhook_id, delivery_id)
            answer = Answer(202, view.model_dump(mode="json"))
            await attempt.complete(session, answer)
    return json_answer(answer)


@router.post(
    "/replay",
    status_code=202,
    summary="Deliver a range of time once more",
    response_model=Replayed,
    responses=problems(400, 404, 409, 422),
)
async def replay_range(
    webhook_id: UUID, body: Replay, request: Request, services: Provided, caller: Manager
) -> Response:
    """A thousand deliveries at most, and no more than the webhook may have unfinished, the oldest
    first; `next_cursor` goes on behind them."""
    place = decode_cursor(TimeCursor, body.cursor)
    async with idempotent(request, caller, services.database) as attempt:
        if repeated := attempt.replay(hash_of(body.model_dump_json())):
            return repeated
        async with services.database.transaction(caller.access) as session:
            room = await _room(session, caller, services, webhook_id)
            wanted = ReplayRange(
                body.begin,
                body.end,
                body.only_failed,
                min(room, MAX_REPLAYED),
                place.key() if place else None,
            )
            replayed = await webhook_deliveries.replay_range(session, webhook_id, wanted)
            payload: dict[str, JsonValue] = {"deliveries": len(replayed)}
            record(session, caller.act("webhook.replayed", "webhook", webhook_id, payload))
            view = _replayed(replayed, wanted)
            answer = Answer(202, view.model_dump(mode="json"))
            await attempt.complete(session, answer)
    return json_answer(answer)


def _replayed(replayed: Sequence[tuple[datetime, UUID]], wanted: ReplayRange) -> Replayed:
    following = None
    if len(replayed) == wanted.max_rows:
        at, delivery_id = replayed[-1]
        following = encode_cursor(TimeCursor(at=at, id=delivery_id))
    return Replayed(replayed=len(replayed), next_cursor=following)


async def _room(session: AsyncSession, caller: Caller, services: Services, webhook_id: UUID) -> int:
    """How many deliveries can be sent besides those that are unfinished. Raises Conflict for a webhook
    that is switched off, or that has its limit of them."""
    found = await service.require_webhook(session, caller, webhook_id, for_update=True)
    if not found.enabled:
        raise Conflict("the webhook is switched off", remedy="Switch it on (`enabled`) first.")
    limit = services.webhooks.max_pending
    room = await webhook_deliveries.room(session, webhook_id, limit)
    if room <= 0:
        raise Conflict(
            f"the webhook has {limit} unfinished deliveries", remedy="Wait until some have ended."
        )
    return room


async def _show(session: AsyncSession, webhook_id: UUID, delivery_id: UUID) -> WebhookDelivery:
    row = await webhook_deliveries.show_delivery(session, webhook_id, delivery_id)
    if row is None:
        raise NotFound("there is no such delivery")
    return _view(row)


def _view(row: RowMapping) -> WebhookDelivery:
    event = WebhookEvent(
        id=row["event_id"], type=row["type"], timestamp=row["occurred_at"], data=row["data"]
    )
    return WebhookDelivery.model_validate({**row, "event": event})

"""Legal holds: placed, widened, acknowledged and released. Nothing of them is ever deleted."""

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.legal_holds.schemas import (
    Custodian,
    Hold,
    HoldNotice,
    HoldState,
    Item,
    NewHold,
    NewItem,
)
from api.services import Services
from db.audit import record
from db.giving_way import giving_way
from db.models import Collection, LegalHold, LegalHoldCustodian, LegalHoldItem, Principal, now
from db.models import File as FileRecord
from db.queries import legal_holds
from db.queries.erasure_records import is_past_return
from db.queries.legal_holds import MAX_ITEMS, emit
from db.queries.preservation import lock_holds
from muniment.contracts.attend_hold import LegalHoldInput
from muniment.contracts.deliver_webhook import EventType
from muniment.contracts.jobs import FileState
from muniment.errors import Conflict, MunimentError, NotFound, Unprocessable, WrongField
from muniment.settings import HoldSettings
from workflows.starting import start_hold

logger = logging.getLogger(__name__)

_LOCK_ATTEMPTS, _LOCK_GROWTH = 6, 1.75
"""From 0.3 s to 5 s, 12 s in all, less than clients wait. Publications and steps of erasures take seconds,
and there may always be one: whoever comes later waits behind the longer turns, and those before come to an
end."""


async def place(
    session: AsyncSession, caller: Caller, defaults: HoldSettings, body: NewHold
) -> Hold:
    """With this commit nothing that it names is changed or erased any more."""
    await _lock_holds(session)
    hold = LegalHold(
        tenant_id=caller.tenant_id,
        matter=body.matter,
        placed_by=caller.principal_id,
        cooling_off_days=_given(body.cooling_off_days, defaults.cooling_off_days),
        reminder_days=_given(body.reminder_days, defaults.reminder_days),
        review_days=_given(body.review_days, defaults.review_days),
    )
    session.add(hold)
    await session.flush()
    await _add_custodians(session, hold, body.custodians)
    await _add_items(session, caller, hold, body.items)
    payload: dict[str, JsonValue] = {
        "items": len(body.items),
        "custodians": len(set(body.custodians)),
    }
    record(session, caller.act("legal_hold.placed", "legal_hold", hold.id, payload))
    await emit(session, caller.tenant_id, EventType.HOLD_PLACED, {"hold_id": str(hold.id)})
    return (await views(session, [hold]))[0]


async def add_items(
    session: AsyncSession, caller: Caller, hold_id: UUID, items: Sequence[NewItem]
) -> list[Item]:
    """Raises Conflict for a matter that was released."""
    await _lock_holds(session)
    hold = await require_hold(session, hold_id, for_update=True)
    if hold.released_at is not None:
        raise Conflict("the matter was released", remedy="Place another hold.")
    if await legal_holds.count_items(session, hold_id) + len(items) > MAX_ITEMS:
        raise Conflict(
            f"a matter has at most {MAX_ITEMS} items",
            remedy="Name a collection or a query instead of each file.",
        )
    return [Item.of(row) for row in await _add_items(session, caller, hold, items)]


async def release(session: AsyncSession, caller: Caller, hold_id: UUID) -> Hold:
    """It goes on holding until its cooling-off has ended; releasing it again changes nothing."""
    await _lock_holds(session)
    hold = await require_hold(session, hold_id, for_update=True)
    if hold.released_at is None:
        hold.released_at = now()
        hold.released_by = caller.principal_id
        hold.cooling_ends_at = hold.released_at + timedelta(days=hold.cooling_off_days)
        ends_at = hold.cooling_ends_at.isoformat()
        record(
            session,
            caller.act("legal_hold.released", "legal_hold", hold_id, {"cooling_ends_at": ends_at}),
        )
        await emit(session, caller.tenant_id, EventType.HOLD_RELEASED, {"hold_id": str(hold_id)})
        await session.flush()
    return (await views(session, [hold]))[0]


async def confirm(session: AsyncSession, caller: Caller, hold_id: UUID) -> Hold:
    """It is still needed, as of now. Raises Conflict for a matter that was released."""
    hold = await require_hold(session, hold_id, for_update=True)
    if hold.released_at is not None:
        raise Conflict("the matter was released", remedy="Place another hold.")
    hold.confirmed_at = now()
    hold.confirmed_by = caller.principal_id
    record(session, caller.act("legal_hold.confirmed", "legal_hold", hold_id))
    await session.flush()
    return (await views(session, [hold]))[0]


async def acknowledge(session: AsyncSession, caller: Caller, hold_id: UUID) -> HoldNotice:
    """By a custodian, who says that it knows. Raises NotFound for whoever is none."""
    custodian = await legal_holds.lock_custodian(session, hold_id, caller.principal_id)
    hold = await legal_holds.get_hold(session, hold_id)
    if custodian is None or hold is None:
        raise _absent()
    if custodian.acknowledged_at is None:
        custodian.acknowledged_at = now()
        record(session, caller.act("legal_hold.acknowledged", "legal_hold", hold_id))
    return HoldNotice(
        hold_id=hold_id,
        matter=hold.matter,
        notified_at=custodian.notified_at,
        acknowledged_at=custodian.acknowledged_at,
    )


async def _lock_holds(session: AsyncSession) -> None:
    """Raises DatabaseUnavailable, which is tried again, where changes of the tenant's files go on all along.
    Whoever wants to change a file waits behind this, so the first turns are short."""
    lock = partial(lock_holds, session)
    await giving_way(session, lock, attempts=_LOCK_ATTEMPTS, growth=_LOCK_GROWTH)


async def require_hold(
    session: AsyncSession, hold_id: UUID, *, for_update: bool = False
) -> LegalHold:
    found = await legal_holds.get_hold(session, hold_id, for_update=for_update)
    if found is None:
        raise _absent()
    return found


async def views(session: AsyncSession, rows: Sequence[LegalHold]) -> list[Hold]:
    ids = [row.id for row in rows]
    files = await legal_holds.count_files(session, ids)
    custodians: dict[UUID, list[Custodian]] = {hold_id: [] for hold_id in ids}
    for each in await legal_holds.custodians_of(session, ids):
        custodians[each.hold_id].append(Custodian.of(each))
    return [Hold.of(row, _state(row), files.get(row.id, 0), custodians[row.id]) for row in rows]


def _state(hold: LegalHold) -> HoldState:
    if hold.cooling_ends_at is None:
        return "active"
    return "cooling_off" if hold.cooling_ends_at > now() else "released"


async def tell_workflow(services: Services, caller: Caller, hold_id: UUID) -> None:
    """Has the matter's workflow look at what was committed. Where that cannot be had now, a worker starts it,
    or it looks by itself when something is due."""
    request = LegalHoldInput(tenant_id=caller.tenant_id, hold_id=hold_id)
    try:
        async with asyncio.timeout(services.temporal.start_timeout_seconds):
            await start_hold(services.temporal.client, request)
    except (MunimentError, TimeoutError, RuntimeError) as error:
        # RuntimeError: what the SDK raises when its first connection fails.
        reason = {"reason": type(error).__name__, "hold_id": str(hold_id)}
        logger.warning("the workflow of a legal hold was not told", extra=reason)


async def _add_custodians(
    session: AsyncSession, hold: LegalHold, principal_ids: Sequence[UUID]
) -> None:
    for principal_id in sorted(set(principal_ids)):
        if await session.get(Principal, principal_id) is None:
            raise _wrong("custodians", "there is no such principal")
        session.add(
            LegalHoldCustodian(hold_id=hold.id, principal_id=principal_id, tenant_id=hold.tenant_id)
        )


async def _add_items(
    session: AsyncSession, caller: Caller, hold: LegalHold, items: Sequence[NewItem]
) -> list[LegalHoldItem]:
    rows = []
    for item in items:
        await _require_there(session, item)
        row = LegalHoldItem(
            tenant_id=caller.tenant_id,
            hold_id=hold.id,
            kind=item.kind.value,
            file_id=item.file_id,
            collection_id=item.collection_id,
            terms=item.terms,
            added_by=caller.principal_id,
        )
        session.add(row)
        await session.flush()
        added = await legal_holds.write_down_files(session, row)
        payload: dict[str, JsonValue] = {
            "item_id": str(row.id),
            "kind": row.kind,
            "files": added,
        }
        record(session, caller.act("legal_hold.item_added", "legal_hold", hold.id, payload))
        rows.append(row)
    return rows


async def _require_there(session: AsyncSession, item: NewItem) -> None:
    """Of the tenant, whoever else may see it: a matter reaches whatever there is. Raises Unprocessable."""
    if item.collection_id is not None:
        if await session.get(Collection, item.collection_id) is None:
            raise _wrong("collection_id", "there is no such collection")
    elif item.file_id is not None:
        file = await session.get(FileRecord, item.file_id)
        if file is None:
            raise _wrong("file_id", "there is no such file")
        if file.state == FileState.ERASED or await is_past_return(session, file.id):
            raise _wrong("file_id", "the file was erased")


def _given(wanted: int | None, default: int) -> int:
    return default if wanted is None else wanted


def _wrong(field: str, detail: str) -> Unprocessable:
    return Unprocessable(detail, errors=[WrongField(field=field, detail=detail)])


def _absent() -> NotFound:
    return NotFound("there is no such legal hold")

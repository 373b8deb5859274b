"""Temporal's face of legal holds."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import owed
from db.audit import Act, record
from db.giving_way import giving_way
from db.models import LegalHold, LegalHoldCustodian, now
from db.queries import legal_holds
from db.queries.legal_holds import MAX_ITEMS, MAX_REMINDERS, emit
from db.queries.preservation import lock_holds
from db.session import Access, Database
from muniment.contracts.attend_hold import HoldAttended, LegalHoldActivities, LegalHoldInput
from muniment.contracts.deliver_webhook import EventType
from muniment.errors import DatabaseUnavailable, MunimentError

LEAST_WAIT = timedelta(seconds=1)
"""What is due at this very moment is not asked for without a pause."""
REVIEW_AGAIN = timedelta(minutes=1)
"""A review that others let nobody get to is tried again after this."""


class LegalHolds(LegalHoldActivities):
    def __init__(self, database: Database) -> None:
        self._database = database

    @activity.defn(name="attend_hold")
    async def attend_hold(self, request: LegalHoldInput) -> HoldAttended:
        try:
            async with self._database.transaction(Access(request.tenant_id)) as session:
                return await attend(session, request.hold_id, now())
        except MunimentError as error:
            raise owed(error) from error


async def attend(session: AsyncSession, hold_id: UUID, as_of: datetime) -> HoldAttended:
    """What is due at that time."""
    # Only a review puts files under the hold. The lock stands before the hold's row, as everywhere.
    is_review_due = await legal_holds.is_review_due(session, hold_id, as_of)
    may_review = is_review_due and await _is_lock_granted(session)
    hold = await legal_holds.get_hold(session, hold_id, for_update=True)
    if hold is None:
        return HoldAttended(is_over=True)
    await legal_holds.mark_started(session, hold_id)
    erasures = await legal_holds.open_erasures(session)
    if hold.cooling_ends_at is not None:
        return HoldAttended(
            is_over=hold.cooling_ends_at <= as_of,
            wait_seconds=_seconds_until(hold.cooling_ends_at, as_of),
            erasures=erasures,
        )
    custodians = await legal_holds.custodians_of(session, [hold_id])
    for custodian in custodians:
        await _tell(session, hold, custodian, as_of)
    # Asked again, of the locked row: another look may have reviewed it while this one waited.
    if may_review and _review_at(hold) <= as_of:
        await _review(session, hold, as_of)
    return HoldAttended(
        is_over=False,
        wait_seconds=_seconds_until(_next_due(hold, custodians, as_of), as_of),
        erasures=erasures,
    )


async def _is_lock_granted(session: AsyncSession) -> bool:
    """Whether the review has the lock of holds. Notices and reminders do not wait for a quiet moment of the
    tenant's."""
    try:
        await giving_way(session, partial(lock_holds, session))
    except DatabaseUnavailable:
        return False
    return True


async def _tell(
    session: AsyncSession, hold: LegalHold, custodian: LegalHoldCustodian, as_of: datetime
) -> None:
    """The notice, or a reminder of it, where that is due."""
    if custodian.notified_at is None:
        custodian.notified_at = as_of
        event, action = EventType.HOLD_NOTICE, "legal_hold.notice_sent"
    elif _reminder_at(hold, custodian, as_of) <= as_of:
        custodian.reminded_at = as_of
        custodian.reminders += 1
        event, action = EventType.HOLD_REMINDER, "legal_hold.reminder_sent"
    else:
        return
    principal_id = str(custodian.principal_id)
    await emit(session, hold.tenant_id, event, {"hold_id": str(hold.id), "custodian": principal_id})
    record(session, _act(hold, action, {"custodian": principal_id}))


async def _review(session: AsyncSession, hold: LegalHold, as_of: datetime) -> None:
    added = 0
    for item in await legal_holds.list_items(session, hold.id, limit=MAX_ITEMS):
        added += await legal_holds.write_down_files(session, item)
    hold.reviewed_at = as_of
    record(session, _act(hold, "legal_hold.reviewed", {"files_added": added}))


def _act(hold: LegalHold, action: str, payload: dict[str, JsonValue]) -> Act:
    return Act(
        action=action,
        object_type="legal_hold",
        object_id=hold.id,
        tenant_id=hold.tenant_id,
        payload=payload,
    )


def _review_at(hold: LegalHold) -> datetime:
    return hold.reviewed_at + timedelta(days=hold.review_days)


def _next_due(
    hold: LegalHold, custodians: Sequence[LegalHoldCustodian], as_of: datetime
) -> datetime:
    """A review that is due still could not be done."""
    review = _review_at(hold) if _review_at(hold) > as_of else as_of + REVIEW_AGAIN
    return min(review, *(_reminder_at(hold, each, review) for each in custodians), review)


def _reminder_at(hold: LegalHold, custodian: LegalHoldCustodian, never: datetime) -> datetime:
    """When the custodian is to be reminded; later than `never` for one that answered, or was reminded often
    enough."""
    told_at = custodian.reminded_at or custodian.notified_at or hold.created_at
    interval = timedelta(days=hold.reminder_days)
    if custodian.acknowledged_at is not None or custodian.reminders >= MAX_REMINDERS:
        return never + interval
    return told_at + interval


def _seconds_until(due: datetime, as_of: datetime) -> float:
    return max(due - as_of, LEAST_WAIT).total_seconds()

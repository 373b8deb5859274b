"""`/v1/legal-holds`: matters under which nothing is changed or erased."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from pydantic import JsonValue

from muniment.client.building import Id, create, get, given, post, segment
from muniment.client.models import Listing, Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.parsing import read_content
from muniment.client.protocol import Call

_PATH = "/v1/legal-holds"

NewItem = Mapping[str, JsonValue]
"""One of `file_id`, `collection_id`, `query` (`name_contains`, `media_type`, `label`, `metadata`,
`collection_id`, `created_from`, `created_until`) and `subject` (`field`, `value`)."""


class HoldItem(Record):
    """`terms` are those of a query or a subject."""

    id: UUID
    kind: str
    file_id: UUID | None = None
    collection_id: UUID | None = None
    terms: dict[str, JsonValue] | None = None
    added_by: UUID | None = None
    created_at: datetime | None = None


class Custodian(Record):
    """Who must know of a matter, and what became of it."""

    principal_id: UUID
    notified_at: datetime | None = None
    reminded_at: datetime | None = None
    reminders: int = 0
    acknowledged_at: datetime | None = None


class LegalHold(Record):
    """`state` is active, cooling_off (until `cooling_ends_at` it goes on holding) or released. `files` counts
    those that were written down: what lies in held collections is held besides."""

    id: UUID
    matter: str
    state: str
    files: int = 0
    custodians: tuple[Custodian, ...] = ()
    placed_by: UUID | None = None
    cooling_off_days: int = 0
    reminder_days: int = 0
    review_days: int = 0
    created_at: datetime | None = None
    reviewed_at: datetime | None = None
    confirmed_at: datetime | None = None
    confirmed_by: UUID | None = None
    released_at: datetime | None = None
    released_by: UUID | None = None
    cooling_ends_at: datetime | None = None


class HoldNotice(Record):
    """What the caller is told as a custodian."""

    hold_id: UUID
    matter: str
    notified_at: datetime | None = None
    acknowledged_at: datetime | None = None


class HoldNotices(Record):
    """Of matters that are not released, newest first."""

    data: tuple[HoldNotice, ...] = ()


def place_hold(
    matter: str,
    *,
    items: Sequence[NewItem] = (),
    custodians: Sequence[Id] = (),
    cooling_off_days: int | None = None,
    reminder_days: int | None = None,
    review_days: int | None = None,
) -> Call[LegalHold]:
    """Days that are None are as the installation has them."""
    body = given(
        matter=matter,
        items=[{**item} for item in items],
        custodians=[str(each) for each in custodians],
        cooling_off_days=cooling_off_days,
        reminder_days=reminder_days,
        review_days=review_days,
    )
    return create(_PATH, LegalHold, body)


def list_holds(*, limit: int = 50, cursor: str | None = None) -> Call[Listing[LegalHold]]:
    """Newest first."""
    return get(_PATH, Listing[LegalHold], {"limit": limit, "cursor": cursor})


def get_hold(hold_id: Id) -> Call[LegalHold]:
    return get(f"{_PATH}/{segment(hold_id)}", LegalHold)


def list_items(
    hold_id: Id, *, limit: int = 50, cursor: str | None = None
) -> Call[Listing[HoldItem]]:
    """Newest first."""
    path = f"{_PATH}/{segment(hold_id)}/items"
    return get(path, Listing[HoldItem], {"limit": limit, "cursor": cursor})


def add_items(hold_id: Id, items: Sequence[NewItem]) -> Call[Listing[HoldItem]]:
    path = f"{_PATH}/{segment(hold_id)}/items"
    return create(path, Listing[HoldItem], {"items": [{**item} for item in items]})


def release_hold(hold_id: Id) -> Call[LegalHold]:
    """It goes on holding until its cooling-off has ended."""
    return post(f"{_PATH}/{segment(hold_id)}/release", LegalHold)


def confirm_hold(hold_id: Id) -> Call[LegalHold]:
    """It is still needed."""
    return post(f"{_PATH}/{segment(hold_id)}/confirm", LegalHold)


def acknowledge_hold(hold_id: Id) -> Call[HoldNotice]:
    """By one of its custodians."""
    return post(f"{_PATH}/{segment(hold_id)}/acknowledge", HoldNotice)


def list_notices() -> Call[HoldNotices]:
    """That the caller was sent."""
    return get(f"{_PATH}/notices", HoldNotices)


def export_hold(hold_id: Id) -> Call[bytes]:
    """The matter's events and its files' since it was placed, as JSON lines."""
    return Call("GET", f"{_PATH}/{segment(hold_id)}/export", read_content)


class LegalHoldOperations:
    """`/v1/legal-holds`."""

    place = Operation(place_hold)
    list = Operation(list_holds)
    get = Operation(get_hold)
    items = Operation(list_items)
    add_items = Operation(add_items)
    release = Operation(release_hold)
    confirm = Operation(confirm_hold)
    acknowledge = Operation(acknowledge_hold)
    notices = Operation(list_notices)
    export = Operation(export_hold)


class LegalHolds(LegalHoldOperations, Resource):
    """`/v1/legal-holds`."""


class AsyncLegalHolds(LegalHoldOperations, AsyncResource):
    """`/v1/legal-holds`."""

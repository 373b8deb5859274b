"""The filters and orders of `GET /v1/files`, out of its query string."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.files.schemas import File
from api.files.view import file_view
from api.jobs.facts import facts_of
from api.jobs.view import WorkflowLinks
from api.pagination import Page, SortCursor, cut, decode_cursor, encode_cursor
from api.services import Services
from db.models import now
from db.queries import collections, files
from db.queries.files import FileDetail, FileFilter, FileOrder
from db.queries.preservation import UNKEPT, keepings
from muniment.contracts.jobs import FileState
from muniment.errors import InvalidRequest

SortOrder = Literal["-created_at", "created_at", "-updated_at", "updated_at", "name", "-name"]
METADATA_PREFIX = "metadata."
"""Needed only for a metadata field that is called like one of these."""
_NAMED = frozenset(
    {
        "limit",
        "cursor",
        "name~",
        "state",
        "media_type",
        "collection",
        "label",
        "created",
        "parent",
        "sort",
    }
)
_NO_FILTERS = frozenset(File.model_fields) - _NAMED
_METADATA_FILTERS = 20

States = Annotated[
    list[FileState] | None,
    Query(
        description="Files in these states; without it all but trashed and erased ones. Of those that are"
        " to be erased nothing tells what they were: they have no names, and are in no list that is sorted"
        " by name or filtered by what they are."
    ),
]
Created = Annotated[
    str | None,
    Query(
        description="A day (`2026-01-31`), or `from..until` of days or RFC 3339 times, either of"
        " which may be left out; a day as `until` is included.",
        max_length=100,
    ),
]


def metadata_filters(request: Request) -> dict[str, str]:
    """`?<field>=<value>`, or `?metadata.<field>=<value>`; values are compared as text.

    So a misspelt filter finds nothing, and does not pass for one that every file fits. What a file has and
    is no filter is refused: whoever asks for `?name=` means the file's and not its metadata's.
    """
    for name in request.query_params.keys() & _NO_FILTERS:
        raise InvalidRequest(
            f"files are not filtered by {name}",
            remedy=f"Ask by `{METADATA_PREFIX}{name}` for a metadata field of this name"
            + (", by `name~` for a part of the files' names." if name == "name" else "."),
        )
    found = {
        name.removeprefix(METADATA_PREFIX): value
        for name, value in request.query_params.items()
        if name not in _NAMED
    }
    if len(found) > _METADATA_FILTERS:
        raise InvalidRequest(f"at most {_METADATA_FILTERS} metadata filters are taken")
    return found


def created_range(created: str | None) -> tuple[datetime | None, datetime | None]:
    """From (included) and until (excluded). Raises InvalidRequest for what is no time."""
    if created is None:
        return None, None
    start, dots, end = created.partition("..")
    if not dots:
        end = start
    return _time(start, 0) if start else None, _time(end, 1) if end else None


def _time(value: str, days_after: int) -> datetime:
    try:
        if len(value) == len("2026-01-31"):
            day = date.fromisoformat(value) + timedelta(days=days_after)
            return datetime(day.year, day.month, day.day, tzinfo=UTC)
        time = datetime.fromisoformat(value)
    except (ValueError, OverflowError):
        raise InvalidRequest("created is neither a day, a time nor a range of them") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


async def list_files(
    services: Services,
    caller: Caller,
    wanted: FileFilter,
    *,
    collection: str | None,
    sort: SortOrder,
    limit: int,
    cursor: str | None,
) -> Page[File]:
    """A page of the files that the caller may read."""
    order = FileOrder(sort.removeprefix("-"), sort.startswith("-"))
    after = _after(cursor, sort, order)
    async with services.database.transaction(caller.access) as session:
        if collection is not None:
            found = await collections.find_collection(session, collection)
            if found is None:
                return Page(data=[], next_cursor=None)
            wanted = replace(wanted, collection_id=found.id)
        rows = await files.list_files(session, wanted, order, limit=limit + 1, after=after)
        shown, last = cut(rows, limit)
        data = await file_views(session, caller, services.links, shown)
    return Page(data=data, next_cursor=None if last is None else _cursor(last, sort, order))


async def file_views(
    session: AsyncSession, caller: Caller, links: WorkflowLinks, details: Sequence[FileDetail]
) -> list[File]:
    """The files as the caller sees them, with their newest jobs. Which holds keep one is for who manages
    holds: their ids would tell which files belong to one matter."""
    known = {each.version.id: each.version.number for each in details if each.version}
    facts = await facts_of(session, links, [each.job for each in details if each.job], known)
    shown = {each.record.id: each.recorded() for each in facts}
    ids, moment = [each.file.id for each in details], now()
    kept = await keepings(session, ids, moment)
    names = caller.may_manage_holds
    return [
        file_view(
            each,
            shown[each.job.id] if each.job else None,
            kept.get(each.file.id, UNKEPT),
            moment,
            names_holds=names,
        )
        for each in details
    ]


def _after(cursor: str | None, sort: str, order: FileOrder) -> tuple[datetime | str, UUID] | None:
    place = decode_cursor(SortCursor, cursor)
    if place is None:
        return None
    try:
        if place.order != sort:
            raise ValueError
        value = place.value if order.by == "name" else datetime.fromisoformat(place.value)
    except ValueError:
        raise InvalidRequest("the cursor belongs to a list in another order") from None
    return value, place.id


def _cursor(last: FileDetail, sort: str, order: FileOrder) -> str:
    times = {"created_at": last.file.created_at, "updated_at": last.file.updated_at}
    value = last.file.name if order.by == "name" else times[order.by].isoformat()
    return encode_cursor(SortCursor(order=sort, value=value, id=last.file.id))

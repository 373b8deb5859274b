"""Lists: `?limit=&cursor=` in, `{"data": […], "next_cursor": …}` out."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel, Field, ValidationError

from api.storable_text import LARGEST_INTEGER, StorableText
from muniment.errors import InvalidRequest

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="How many at most.")]
Cursor = Annotated[
    str | None,
    Query(max_length=4096, description="`next_cursor` of the page before."),
]

ItemT = TypeVar("ItemT")
RowT = TypeVar("RowT")
CursorT = TypeVar("CursorT", bound=BaseModel)


class Page(BaseModel, Generic[ItemT]):
    """A page of a list; `next_cursor` is null on the last one."""

    data: list[ItemT]
    next_cursor: str | None


class TimeCursor(BaseModel):
    """A place in a list that is ordered by time and id, newest first."""

    at: datetime
    id: UUID

    def key(self) -> tuple[datetime, UUID]:
        return (self.at, self.id)


class IdCursor(BaseModel):
    """A place in a list that is ordered by ids, which sort by time: newest first."""

    id: UUID


class NumberCursor(BaseModel):
    """A place in a list that is ordered by a number, which is an `integer` in PostgreSQL."""

    number: Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]


class SortCursor(BaseModel):
    """A place in a list whose order the caller chose: the order, the value there, the id."""

    order: str
    value: StorableText
    id: UUID


def encode_cursor(cursor: BaseModel) -> str:
    """Opaque to clients; URL-safe."""
    return base64.urlsafe_b64encode(cursor.model_dump_json().encode()).decode().rstrip("=")


def decode_cursor(model: type[CursorT], cursor: str | None) -> CursorT | None:
    """Raises InvalidRequest for a cursor that this list did not give out."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return model.model_validate_json(base64.urlsafe_b64decode(padded.encode()))
    except (ValidationError, ValueError, binascii.Error):
        raise InvalidRequest(
            "the cursor does not belong to this list",
            remedy="Start again without a cursor; take the next one from `next_cursor`.",
        ) from None


def cut(rows: Sequence[RowT], limit: int) -> tuple[Sequence[RowT], RowT | None]:
    """Of `limit` + 1 rows that were asked for: the page, and its last row when more follow."""
    if len(rows) <= limit:
        return rows, None
    return rows[:limit], rows[limit - 1]

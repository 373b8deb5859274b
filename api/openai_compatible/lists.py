"""Lists as OpenAI's clients walk them: `after` the id of the last thing that was seen."""

from collections.abc import Sequence
from typing import Annotated, Generic, Literal, TypeVar

from fastapi import Query
from pydantic import BaseModel

from api.pagination import MAX_LIMIT

ItemT = TypeVar("ItemT", bound=BaseModel)

Order = Literal["asc", "desc"]
OldestOrNewest = Annotated[Order, Query(description="By the time of creation.")]
After = Annotated[
    str | None, Query(max_length=64, description="The id of the last thing of the page before.")
]
_MOST_ASKED = 10_000
PageSize = Annotated[
    int,
    Query(ge=1, le=_MOST_ASKED, description=f"How many at most; a page has {MAX_LIMIT} or fewer."),
]


class ListPage(BaseModel, Generic[ItemT]):
    """A page of a list; with `has_more` another one follows."""

    object: Literal["list"] = "list"
    data: list[ItemT]
    first_id: str | None
    last_id: str | None
    has_more: bool


def page_limit(limit: int) -> int:
    return min(limit, MAX_LIMIT)


def list_page(data: Sequence[ItemT], ids: Sequence[str], *, has_more: bool) -> ListPage[ItemT]:
    return ListPage(
        data=list(data),
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=has_more,
    )

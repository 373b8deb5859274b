"""Compared versions as clients see them."""

from enum import StrEnum

from pydantic import BaseModel, Field

from api.version_comparisons.differences import SpanKind


class ComparedPageState(StrEnum):
    """`unread`: one of the two could not be read, so that nobody knows."""

    UNCHANGED = "unchanged"
    CHANGED = "changed"
    ADDED = "added"
    REMOVED = "removed"
    UNREAD = "unread"


class DifferenceView(BaseModel):
    """A run of words, joined by spaces. `omitted` stands for so many equal words that are not shown."""

    kind: SpanKind
    words: int
    text: str


class PagePairView(BaseModel):
    """A page of the version and the page that it was in the other. White space alone is no change,
    and text that a reader does not see is left out."""

    state: ComparedPageState
    page: int | None = Field(description="Its number in the version; null for a removed page.")
    with_page: int | None = Field(description="Its number in the other; null for an added page.")
    moved: bool = Field(description="It stands in another order among the pages than it did.")
    words_removed: int = 0
    words_added: int = 0
    differences: list[DifferenceView] = Field(
        default=[], description="In the order of the text, for changed, added and removed pages."
    )
    truncated: bool = Field(
        default=False,
        description="More of the page differs than `differences` has room or time for.",
    )
    problem: str | None = Field(default=None, description="Why an unread page could not be read.")


class ComparedPageCounts(BaseModel):
    """Of all pages, whatever part of them is listed; `moved` ones are counted by their state, too."""

    unchanged: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    unread: int = 0
    moved: int = 0


class VersionComparison(BaseModel):
    """What became of the pages of `with_version` in `version`, in the order of the latter."""

    version: int
    with_version: int
    pages: ComparedPageCounts
    data: list[PagePairView]
    next_cursor: str | None

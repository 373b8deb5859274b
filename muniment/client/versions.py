"""Compared versions, as the API answers them."""

from collections.abc import Sequence

from muniment.client.models import Record


class WordSpan(Record):
    """A run of words: `equal`, `removed` or `added`; `omitted` stands for so many equal ones."""

    kind: str
    words: int = 0
    text: str = ""


class ComparedPage(Record):
    """A page and what became of it: `unchanged`, `changed`, `added`, `removed` or `unread`.
    `with_page` is its number in the other version."""

    state: str
    page: int | None = None
    with_page: int | None = None
    moved: bool = False
    words_removed: int = 0
    words_added: int = 0
    differences: Sequence[WordSpan] = ()
    truncated: bool = False
    problem: str | None = None


class ComparedPageCounts(Record):
    """Of all pages, not only of those that are listed."""

    unchanged: int = 0
    changed: int = 0
    added: int = 0
    removed: int = 0
    unread: int = 0
    moved: int = 0


class VersionComparison(Record):
    """What became of the pages of `with_version` in `version`."""

    version: int
    with_version: int
    pages: ComparedPageCounts = ComparedPageCounts()
    data: Sequence[ComparedPage] = ()
    next_cursor: str | None = None

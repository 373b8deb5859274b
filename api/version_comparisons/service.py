"""Reads the pages of two versions and compares them in a thread, within bounds."""

import asyncio
import time
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from api.authentication import Caller
from api.pages.service import require_published
from api.pagination import NumberCursor, encode_cursor
from api.services import Services
from api.version_comparisons.alignment import PageText, Pair, align
from api.version_comparisons.differences import differences
from api.version_comparisons.schemas import (
    ComparedPageCounts,
    ComparedPageState,
    DifferenceView,
    PagePairView,
    VersionComparison,
)
from db.models import FileVersion, PageRow
from db.queries import pages
from muniment.errors import Unprocessable
from retrieval.cited_pages import ArtifactReader

MOST_CHARACTERS = 10_000_000
"""Of either version: 3,000 printed pages."""
MOST_PAGES = 10_000
"""Of either version, however little stands on them: they are aligned in 2 s at most."""
DIFFERENCES_SECONDS = 5.0
"""What the pages of one answer may take; those that come too late say that they are cut."""
LONGEST_COMPOSED_WORD = 100
_PAGES_AT_ONCE = 500


@dataclass(frozen=True)
class Wanted:
    """The version and the one to compare it with (None: the one before it), and which of the pages."""

    number: int
    former: int | None
    limit: int
    after: int
    is_unchanged_shown: bool


async def compare(
    services: Services, caller: Caller, file_id: UUID, wanted: Wanted
) -> VersionComparison:
    """Raises NotFound, Gone, Conflict for a version that was not published; Unprocessable for what
    cannot be compared; TooManyRequests."""
    with services.version_comparisons.take():
        version = await require_published(services, caller, file_id, wanted.number, "comparison")
        former = await require_published(services, caller, file_id, _former(wanted), "comparison")
        vocabulary: dict[str, str] = {}
        former_pages = await _texts(services, caller, former, vocabulary)
        present_pages = await _texts(services, caller, version, vocabulary)
        compared = _Compared(former_pages, present_pages, wanted)
        counts, data, last = await asyncio.to_thread(compared.result)
    following = None if last is None else encode_cursor(NumberCursor(number=last))
    return VersionComparison(
        version=version.number,
        with_version=former.number,
        pages=counts,
        data=data,
        next_cursor=following,
    )


def _former(wanted: Wanted) -> int:
    if wanted.former is not None:
        return wanted.former
    if wanted.number == 1:
        detail = "version 1 has none before it"
        raise Unprocessable(
            detail,
            remedy="Name the version to compare it with: `?with=2`.",
            errors=[{"field": "with", "detail": detail}],
        )
    return wanted.number - 1


async def _texts(
    services: Services, caller: Caller, version: FileVersion, vocabulary: dict[str, str]
) -> list[PageText]:
    """The visible words of every page; equal words are one object, which saves most of the memory."""
    reader = ArtifactReader(services.blobs, caller.tenant_id)
    texts: list[PageText] = []
    characters = 0
    rows: Sequence[PageRow] = ()
    while True:
        async with services.database.transaction(caller.access) as session:
            rows = await pages.list_pages(
                session,
                version.id,
                limit=_PAGES_AT_ONCE,
                after_page=rows[-1].page if rows else 0,
            )
        if len(texts) + len(rows) > MOST_PAGES:
            raise _too_long(version, f"{MOST_PAGES} pages")
        for row in rows:
            page = await reader.page(row)
            if page is None:
                texts.append(PageText(row.page, None, row.problem))
                continue
            characters += len(page.text)
            if characters > MOST_CHARACTERS:
                raise _too_long(version, f"{MOST_CHARACTERS} characters of text")
            words = await asyncio.to_thread(_words, page.text, vocabulary)
            texts.append(PageText(row.page, words))
        if len(rows) < _PAGES_AT_ONCE:
            return texts


def _too_long(version: FileVersion, bound: str) -> Unprocessable:
    return Unprocessable(
        f"version {version.number} has more than {bound}",
        remedy="Take both versions' texts (`…/text?version=`) and compare them yourself.",
    )


def _words(text: str, vocabulary: dict[str, str]) -> tuple[str, ...]:
    """Composed (NFC), so that words are equal however their accents are written. Python composes a run
    of marks in time that grows with its square: what no script writes is left as it is."""
    return tuple(
        vocabulary.setdefault(word, word)
        for word in (
            unicodedata.normalize("NFC", each) if len(each) <= LONGEST_COMPOSED_WORD else each
            for each in text.split()
        )
    )


class _Compared:
    """The comparison of two versions; `result` is slow and touches nothing else."""

    def __init__(
        self, former: Sequence[PageText], present: Sequence[PageText], wanted: Wanted
    ) -> None:
        self._former = former
        self._present = present
        self._wanted = wanted

    def result(self) -> tuple[ComparedPageCounts, list[PagePairView], int | None]:
        """How many pages became what, those that are asked for, and the place to go on after."""
        pairs = align(self._former, self._present)
        states = [self._state(pair) for pair in pairs]
        counts = ComparedPageCounts(
            **{state: states.count(state) for state in ComparedPageState},
            moved=sum(pair.is_moved for pair in pairs),
        )
        places = [
            place
            for place, (pair, state) in enumerate(zip(pairs, states, strict=True), start=1)
            if place > self._wanted.after
            and (self._wanted.is_unchanged_shown or _tells(pair, state))
        ]
        shown = places[: self._wanted.limit]
        deadline = time.monotonic() + DIFFERENCES_SECONDS
        data = [self._view(pairs[place - 1], states[place - 1], deadline) for place in shown]
        return counts, data, shown[-1] if len(places) > len(shown) else None

    def _state(self, pair: Pair) -> ComparedPageState:
        former, present = self._pages(pair)
        if any(page is not None and page.words is None for page in (former, present)):
            return ComparedPageState.UNREAD
        if former is None:
            return ComparedPageState.ADDED
        if present is None:
            return ComparedPageState.REMOVED
        return (
            ComparedPageState.UNCHANGED
            if former.words == present.words
            else ComparedPageState.CHANGED
        )

    def _view(self, pair: Pair, state: ComparedPageState, deadline: float) -> PagePairView:
        former, present = self._pages(pair)
        view = PagePairView(
            state=state,
            page=present.page if present else None,
            with_page=former.page if former else None,
            moved=pair.is_moved,
        )
        if state == ComparedPageState.UNREAD:
            problems = (page.problem for page in (present, former) if page and page.problem)
            return view.model_copy(update={"problem": next(problems, None)})
        if state == ComparedPageState.UNCHANGED:
            return view
        found = differences(
            (former.words if former else None) or (),
            (present.words if present else None) or (),
            deadline,
        )
        spans = [DifferenceView(kind=s.kind, words=s.words, text=s.text) for s in found.spans]
        return view.model_copy(
            update={
                "words_removed": found.words_removed,
                "words_added": found.words_added,
                "differences": spans,
                "truncated": found.is_cut,
            }
        )

    def _pages(self, pair: Pair) -> tuple[PageText | None, PageText | None]:
        return (
            None if pair.former is None else self._former[pair.former],
            None if pair.present is None else self._present[pair.present],
        )


def _tells(pair: Pair, state: ComparedPageState) -> bool:
    return pair.is_moved or state != ComparedPageState.UNCHANGED

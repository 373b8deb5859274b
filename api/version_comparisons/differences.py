"""What changed between the words of two pages."""

import time
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from api.version_comparisons.runs import Run, runs

CONTEXT_WORDS = 6
"""Equal words that are shown on either side of a change."""
MOST_CHARACTERS = 20_000
"""Shown of one page."""
_ORDERED_WORDS = 4_000
"""Stretches of more words (a printed page has some hundreds) are cut at what stands once in both
before they are compared word by word, 6 ms and 4 MB each."""
_ANCHORED_WORDS = 200_000
"""A stretch of more would take seconds and hundreds of megabytes to be looked through for them."""
_GRAM = 4


class SpanKind(StrEnum):
    """`omitted`: words that are equal and not shown, so many."""

    EQUAL = "equal"
    REMOVED = "removed"
    ADDED = "added"
    OMITTED = "omitted"


@dataclass(frozen=True)
class Span:
    kind: SpanKind
    words: int
    text: str


@dataclass
class Differences:
    """Spans in the order of the text; `is_cut` when not all that changed is among them."""

    spans: list[Span] = field(default_factory=list)
    words_removed: int = 0
    words_added: int = 0
    is_cut: bool = False
    _characters: int = 0

    def show(self, kind: SpanKind, words: Sequence[str]) -> None:
        """Adds a span, or as much of it as there is room for."""
        if not words:
            return
        text = " ".join(words)
        room = MOST_CHARACTERS - self._characters
        if len(text) > room:
            self.is_cut = True
            text = text[:room]
        if text:
            self.spans.append(Span(kind, len(words), text))
        self._characters += len(text)

    def omit(self, count: int) -> None:
        if count and not self.is_cut:
            self.spans.append(Span(SpanKind.OMITTED, count, ""))


def differences(
    former: Sequence[str], present: Sequence[str], deadline: float = float("inf")
) -> Differences:
    """What has to be removed and added to make the present words of the former.

    `deadline` is a time of `time.monotonic`; what it leaves no time for is given as removed and added
    whole, and the differences as cut.
    """
    found = Differences()
    all_runs = changed_runs(former, present, deadline)
    is_late = time.monotonic() > deadline
    for place, run in enumerate(all_runs):
        if run.is_equal:
            is_last = place == len(all_runs) - 1
            _show_equal(found, present[run.present_start : run.present_end], place == 0, is_last)
        else:
            found.words_removed += run.former_end - run.former_start
            found.words_added += run.present_end - run.present_start
            found.show(SpanKind.REMOVED, former[run.former_start : run.former_end])
            found.show(SpanKind.ADDED, present[run.present_start : run.present_end])
    found.is_cut = found.is_cut or is_late
    return found


def changed_runs(
    former: Sequence[str], present: Sequence[str], deadline: float = float("inf")
) -> list[Run]:
    """By turns equal and different, over both sequences whole."""
    return list(_merged(_in_segments(former, present, deadline)))


def _show_equal(found: Differences, words: Sequence[str], is_first: bool, is_last: bool) -> None:
    """A few words beside each change; nothing lies before the first and behind the last."""
    head = 0 if is_first else CONTEXT_WORDS
    tail = 0 if is_last else CONTEXT_WORDS
    if len(words) <= head + tail + 1:
        found.show(SpanKind.EQUAL, words)
        return
    found.show(SpanKind.EQUAL, words[:head])
    found.omit(len(words) - head - tail)
    found.show(SpanKind.EQUAL, words[len(words) - tail :])


def _in_segments(former: Sequence[str], present: Sequence[str], deadline: float) -> Iterator[Run]:
    """Runs over both, segment by segment where they are long."""
    start = _common_start(former, present)
    end = _common_start(former[start:][::-1], present[start:][::-1])
    former_end, present_end = len(former) - end, len(present) - end
    yield Run(True, 0, start, 0, start)
    i, j = start, start
    anchors: list[tuple[int, int]] = []
    longest = max(former_end, present_end) - start
    if _ORDERED_WORDS < longest <= _ANCHORED_WORDS and time.monotonic() <= deadline:
        anchors = _anchors(former[start:former_end], present[start:present_end])
    for next_i, next_j in [(start + a, start + b) for a, b in anchors] + [
        (former_end, present_end)
    ]:
        yield from _segment(former, present, Run(False, i, next_i, j, next_j), deadline)
        i, j = next_i, next_j
    yield Run(True, former_end, len(former), present_end, len(present))


def _segment(
    former: Sequence[str], present: Sequence[str], gap: Run, deadline: float
) -> Iterator[Run]:
    if time.monotonic() > deadline:
        yield gap
        return
    had, has = gap.former_end - gap.former_start, gap.present_end - gap.present_start
    if max(had, has) > _ORDERED_WORDS:
        # Nothing stands in it once: halves are compared with halves, which finds all changes and may
        # call some words around the cut changed that are not.
        i, j = gap.former_start + had // 2, gap.present_start + has // 2
        yield from _segment(former, present, replace(gap, former_end=i, present_end=j), deadline)
        yield from _segment(
            former, present, replace(gap, former_start=i, present_start=j), deadline
        )
        return
    ours = former[gap.former_start : gap.former_end]
    theirs = present[gap.present_start : gap.present_end]
    if ours == theirs:
        yield replace(gap, is_equal=True)
        return
    for run in runs(ours, theirs):
        yield Run(
            run.is_equal,
            gap.former_start + run.former_start,
            gap.former_start + run.former_end,
            gap.present_start + run.present_start,
            gap.present_start + run.present_end,
        )


def _merged(all_runs: Iterator[Run]) -> Iterator[Run]:
    """Without empty runs; neighbours of one kind are one."""
    last: Run | None = None
    for run in all_runs:
        if (run.former_start, run.present_start) == (run.former_end, run.present_end):
            continue
        if last is not None and last.is_equal == run.is_equal:
            last = Run(
                run.is_equal, last.former_start, run.former_end, last.present_start, run.present_end
            )
            continue
        if last is not None:
            yield last
        last = run
    if last is not None:
        yield last


def _common_start(one: Sequence[str], other: Sequence[str]) -> int:
    for place, (word, same) in enumerate(zip(one, other, strict=False)):
        if word != same:
            return place
    return min(len(one), len(other))


def _anchors(former: Sequence[str], present: Sequence[str]) -> list[tuple[int, int]]:
    """Places of what stands once in either, as many as stand in one order (patience diff)."""
    places = _single_places(former)
    found = [
        (places[gram], place) for gram, place in _single_places(present).items() if gram in places
    ]
    return _longest_rising(sorted(found))


def _single_places(words: Sequence[str]) -> dict[tuple[str, ...], int]:
    places: dict[tuple[str, ...], int] = {}
    for place in range(len(words) - _GRAM + 1):
        gram = tuple(words[place : place + _GRAM])
        places[gram] = -1 if gram in places else place
    return {gram: place for gram, place in places.items() if place >= 0}


def _longest_rising(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The longest part of the points, in their order, whose second numbers rise (Schensted, 1961)."""
    ends: list[int] = []
    last_at: list[int] = []
    before: list[int] = []
    for number, (_, value) in enumerate(points):
        place = bisect_left(ends, value)
        before.append(last_at[place - 1] if place else -1)
        if place == len(ends):
            ends.append(value)
            last_at.append(number)
        else:
            ends[place], last_at[place] = value, number
    chosen: list[tuple[int, int]] = []
    number = last_at[-1] if last_at else -1
    while number >= 0:
        chosen.append(points[number])
        number = before[number]
    return chosen[::-1]

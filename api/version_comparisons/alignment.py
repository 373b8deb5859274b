"""Which page of one version is which of the other: by their words, not by their numbers."""

import hashlib
import heapq
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from api.version_comparisons.runs import runs

ALIKE = 0.25
"""Pages in the same place that share so much are one page that changed."""
MOVED_ALIKE = 0.6
"""Elsewhere more is asked, since any two pages of a contract share phrases."""
_UNREAD_ALIKE = 0.3
"""A page that could not be read stands for the one in its place, unless a better one is found."""
_PAIRS_AT_ONCE = 2_500
"""A gap of more pairs is halved: 10,000 pages that all changed cost 400,000 comparisons, 2 s."""
_MOST_MOVED_PAIRS = 40_000
_SKETCH = 64


@dataclass(frozen=True)
class PageText:
    """A page's words; None when it could not be read, for the reason in `problem`."""

    page: int
    words: tuple[str, ...] | None
    problem: str | None = None

    @cached_property
    def key(self) -> str:
        """Equal for pages of equal words; another one for every unread page."""
        if self.words is None:
            return f"unread {id(self)}"
        return hashlib.blake2b(" ".join(self.words).encode(errors="replace")).hexdigest()

    @cached_property
    def sketch(self) -> frozenset[int]:
        """The least hashes of its pairs of words (Broder's MinHash): how many two pages have in common
        says how alike they are. The same in every process, since a list goes on in another one."""
        words = self.words or ()
        grams = [f"{one} {next_one}" for one, next_one in pairwise(words)] or words
        hashes = {zlib.crc32(gram.encode(errors="replace")) for gram in grams}
        return frozenset(heapq.nsmallest(_SKETCH, hashes))


@dataclass(frozen=True)
class Pair:
    """Indices of two pages that are one; without one of them the page was added or removed."""

    former: int | None
    present: int | None
    is_moved: bool = False


def align(former: Sequence[PageText], present: Sequence[PageText]) -> list[Pair]:
    """Every page once, in the order of the present version; removed ones stand where they stood."""
    pairs: list[Pair] = []
    for run in runs([page.key for page in former], [page.key for page in present]):
        ours = range(run.former_start, run.former_end)
        theirs = range(run.present_start, run.present_end)
        if run.is_equal:
            pairs += [Pair(i, j) for i, j in zip(ours, theirs, strict=True)]
        else:
            pairs += _gap(former, present, ours, theirs)
    return _with_moves(former, present, pairs)


def likeness(one: PageText, other: PageText) -> float:
    """From 0 to 1."""
    if one.words is None or other.words is None:
        return _UNREAD_ALIKE
    longest = max(len(one.sketch), len(other.sketch))
    return len(one.sketch & other.sketch) / longest if longest else 1.0


def _gap(
    former: Sequence[PageText], present: Sequence[PageText], ours: range, theirs: range
) -> list[Pair]:
    """Pairs in both orders, such that their likeness sums to the most."""
    if len(ours) * len(theirs) > _PAIRS_AT_ONCE and min(len(ours), len(theirs)) > 1:
        half, half_of_theirs = len(ours) // 2, len(theirs) // 2
        return _gap(former, present, ours[:half], theirs[:half_of_theirs]) + _gap(
            former, present, ours[half:], theirs[half_of_theirs:]
        )
    alike = [[likeness(former[i], present[j]) for j in theirs] for i in ours]
    best = _best_sums(alike, len(ours), len(theirs))
    pairs: list[Pair] = []
    i = j = 0
    while i < len(ours) or j < len(theirs):
        both = i < len(ours) and j < len(theirs)
        if both and alike[i][j] >= ALIKE and best[i][j] == alike[i][j] + best[i + 1][j + 1]:
            pairs.append(Pair(ours[i], theirs[j]))
            i, j = i + 1, j + 1
        elif i < len(ours) and (j == len(theirs) or best[i][j] == best[i + 1][j]):
            pairs.append(Pair(ours[i], None))
            i += 1
        else:
            pairs.append(Pair(None, theirs[j]))
            j += 1
    return pairs


def _best_sums(alike: list[list[float]], rows: int, columns: int) -> list[list[float]]:
    """The most that pages from each place on can sum to (Needleman and Wunsch, 1970)."""
    best = [[0.0] * (columns + 1) for _ in range(rows + 1)]
    for i in reversed(range(rows)):
        for j in reversed(range(columns)):
            best[i][j] = max(best[i + 1][j], best[i][j + 1])
            if alike[i][j] >= ALIKE:
                best[i][j] = max(best[i][j], alike[i][j] + best[i + 1][j + 1])
    return best


def _with_moves(
    former: Sequence[PageText], present: Sequence[PageText], pairs: list[Pair]
) -> list[Pair]:
    """Removed and added pages that are one become a page that moved."""
    removed = [pair.former for pair in pairs if pair.former is not None and pair.present is None]
    added = [pair.present for pair in pairs if pair.present is not None and pair.former is None]
    removed = [i for i in removed if former[i].words]
    added = [j for j in added if present[j].words]
    came_from = _same_moved(former, present, removed, added)
    gone = set(came_from.values())
    came_from |= _alike_moved(
        former,
        present,
        [i for i in removed if i not in gone],
        [j for j in added if j not in came_from],
    )
    gone = set(came_from.values())
    return [
        Pair(came_from[pair.present], pair.present, is_moved=True)
        if pair.present in came_from
        else pair
        for pair in pairs
        if pair.present is not None or pair.former not in gone
    ]


def _same_moved(
    former: Sequence[PageText], present: Sequence[PageText], removed: list[int], added: list[int]
) -> dict[int, int]:
    places: defaultdict[str, list[int]] = defaultdict(list)
    for i in reversed(removed):
        places[former[i].key].append(i)
    return {j: places[present[j].key].pop() for j in added if places[present[j].key]}


def _alike_moved(
    former: Sequence[PageText], present: Sequence[PageText], removed: list[int], added: list[int]
) -> dict[int, int]:
    """The most alike first. Of too many nobody can say in time; they stay removed and added."""
    if len(removed) * len(added) > _MOST_MOVED_PAIRS:
        return {}
    found = sorted(
        (-likeness(former[i], present[j]), abs(i - j), i, j) for i in removed for j in added
    )
    came_from: dict[int, int] = {}
    gone: set[int] = set()
    for negative, _, i, j in found:
        if -negative >= MOVED_ALIKE and i not in gone and j not in came_from:
            came_from[j] = i
            gone.add(i)
    return came_from

"""Finds a quote again in another reading: word for word, else nearly so, else not at all.

What is found must have been meant: words that stand elsewhere in another context, or in two places that
are equally likely, are lost. Better a lost annotation than one at the wrong place, which nobody doubts.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel, MatchingBlock

from retrieval.anchors.ancestry import Ancestry
from retrieval.anchors.folding import digest, fold
from retrieval.anchors.quotes import Quote, occurrences_of

METHOD = 1
"""Raised when the same readings would be compared otherwise."""
ALIKE = 0.8
"""The least likeness (1 less the share of letters to take away or add) of words that changed."""
FEWEST_FUZZY = 12
"""Letters of the shortest quote that may have changed: of fewer any change makes another word."""
FEWEST_TOLD = 4
"""Letters and digits of a quote that is told from others on a page that changed."""
CONTEXT_OF_ONE_SIDE = 0.85
CONTEXT_OF_BOTH = 0.7
"""The least likeness of what stands around: before or behind, or both together. Any two texts of one
language come to 0.5."""
SHORT = 32
"""Fewer letters stand in many places: what stands around them must fit on both sides."""
SPEAKS_FOR_ITSELF = 40
"""Letters of the shortest quote that is believed to have gone to another page."""
MARGIN = 0.1
"""By so much the best place must be better than the next."""
MOST_COMPARED = 20_000
"""Letters of either page, 70 ms; on longer ones words that changed are lost."""
MOST_FUZZY = 1_000
"""Letters of a quote, which are compared with a whole page: of more, 5,000, it takes 1.5 s. On a page read
anew longer ones are found word for word only."""
_PLACES_OF_A_PAGE = 3
_MOST_OCCURRENCES = 200
"""Of more a short word has too many to tell them apart in time."""


@dataclass(frozen=True)
class Place:
    """Where a quote stands: folded characters of a page."""

    page: int
    start: int
    end: int
    score: float
    context: float = 1.0

    @property
    def weight(self) -> float:
        return 0.6 * self.score + 0.4 * self.context


class Finder:
    """Finds quotes in one reading: `pages` are the folded texts of its pages by number, `former` those
    of the version that the quotes are of."""

    def __init__(self, pages: Mapping[int, str], former: Mapping[int, str]) -> None:
        self._pages = pages
        self._former = former
        self._ancestry = Ancestry(pages, former)
        self._digests: dict[bytes, list[int]] = {}
        self._compared: tuple[tuple[int, int], list[MatchingBlock]] | None = None
        for page, text in pages.items():
            self._digests.setdefault(digest(text), []).append(page)

    def find(self, quote: Quote, *, only_on: int | None = None) -> Place | None:
        """The one place where the quote stands; None when it is lost. `only_on`: the page that it must
        be on, where the pages are those it was made on, read anew."""
        wanted = fold(quote.exact)
        if not wanted:
            return None
        unchanged = self._on_unchanged_page(quote, wanted, only_on)
        if unchanged is not None:
            return unchanged
        if sum(character.isalnum() for character in wanted) < FEWEST_TOLD:
            return None
        if only_on is not None:
            return self._read_anew(quote, wanted, only_on)
        heirs = self._ancestry.heirs_of(quote.page)
        if len(heirs) > 1:
            return None
        carried = self._carried(quote, wanted, heirs[0]) if heirs else None
        return carried or self._elsewhere(quote, wanted)

    def page_of(self, page_digest: bytes, *, only_on: int | None = None) -> int | None:
        """The one page that has all words of that page; None when there is none, or when more than one has
        them or had them before, or when so few words tell nothing."""
        same = self._digests.get(page_digest, [])
        if only_on is not None:
            return only_on if only_on in same else None
        if len(same) != 1 or self._ancestry.has_twins(page_digest):
            return None
        return same[0] if len(self._pages[same[0]]) >= FEWEST_FUZZY else None

    def _on_unchanged_page(self, quote: Quote, wanted: str, only_on: int | None) -> Place | None:
        page = self.page_of(quote.page_digest, only_on=only_on)
        if page is None:
            return None
        places = occurrences_of(wanted, self._pages[page], quote.occurrence + 1)
        if quote.occurrence >= len(places):
            return None
        start = places[quote.occurrence]
        return Place(page, start, start + len(wanted), 1.0)

    def _read_anew(self, quote: Quote, wanted: str, page: int) -> Place | None:
        """On the page itself: its former reading is gone, so that words and context are all there is."""
        text = self._pages.get(page)
        if text is None:
            return None
        found = self._in_context(quote, wanted, page)
        if FEWEST_FUZZY <= len(wanted) <= MOST_FUZZY and len(text) <= MOST_COMPARED:
            # Words that are read otherwise where they stand may stand elsewhere as they were.
            found += _nearly(quote, wanted, page, text)
        return _best(found)

    def _in_context(self, quote: Quote, wanted: str, page: int) -> list[Place]:
        """The places of a page word for word that may be meant."""
        text = self._pages[page]
        places = occurrences_of(wanted, text, _MOST_OCCURRENCES + 1)
        if len(places) > _MOST_OCCURRENCES:
            return []
        found = []
        for start in places:
            around = _Context(quote, text, start, start + len(wanted))
            if around.fits(len(wanted)):
                found.append(Place(page, start, start + len(wanted), 1.0, around.both))
        return found

    def _carried(self, quote: Quote, wanted: str, page: int) -> Place | None:
        """What became of the words on the page that became of theirs, by comparing the two whole."""
        former, present = self._former[quote.page], self._pages[page]
        places = occurrences_of(wanted, former, quote.occurrences + 1)
        is_known = len(places) == quote.occurrences
        if not is_known or max(len(former), len(present)) > MOST_COMPARED:
            return _best(self._in_context(quote, wanted, page))
        start = places[quote.occurrence]
        stayed = self._stayed(quote.page, page)
        stretch = _carried_over(stayed, start, start + len(wanted))
        if stretch is None:
            return None
        score = Indel.normalized_similarity(wanted, present[slice(*stretch)])
        around = _Context(quote, present, *stretch)
        if score < (ALIKE if len(wanted) >= FEWEST_FUZZY else 1):
            return None
        if score < 1 and not around.fits(len(wanted)):
            return None
        return Place(page, *stretch, score, around.both)

    def _stayed(self, former_page: int, page: int) -> list[MatchingBlock]:
        """The runs of letters that two pages share, in order; kept until two others are compared."""
        if self._compared is None or self._compared[0] != (former_page, page):
            runs = Indel.opcodes(self._former[former_page], self._pages[page])
            self._compared = ((former_page, page), runs.as_matching_blocks())
        return self._compared[1]

    def _elsewhere(self, quote: Quote, wanted: str) -> Place | None:
        """Words that went to another page: the same ones in the same context, which stand once in this
        version and stood once in the former; else one of them may have gone, and this is another."""
        if len(wanted) < SPEAKS_FOR_ITSELF:
            return None
        found = [
            (page, start)
            for page, text in self._pages.items()
            for start in occurrences_of(wanted, text, 2)
        ]
        if len(found) != 1:
            return None
        if sum(len(occurrences_of(wanted, text, 2)) for text in self._former.values()) != 1:
            return None
        page, start = found[0]
        around = _Context(quote, self._pages[page], start, start + len(wanted))
        if not around.is_the_same:
            return None
        return Place(page, start, start + len(wanted), 1.0, around.both)


class _Context:
    """How alike what stands around a place is to what stood around the quote."""

    def __init__(self, quote: Quote, text: str, start: int, end: int) -> None:
        prefix, suffix = fold(quote.prefix), fold(quote.suffix)
        # Where nothing stood before, the page began: what stands there now speaks against it.
        before = text[max(0, start - (len(prefix) or 1)) : start]
        behind = text[end : end + (len(suffix) or 1)]
        self.before = Indel.normalized_similarity(prefix, before)
        self.behind = Indel.normalized_similarity(suffix, behind)
        self.both = (self.before + self.behind) / 2

    @property
    def is_the_same(self) -> bool:
        return min(self.before, self.behind) >= CONTEXT_OF_ONE_SIDE

    def fits(self, letters: int) -> bool:
        if letters < SHORT:
            return self.is_the_same or self.both >= CONTEXT_OF_ONE_SIDE
        one_side = max(self.before, self.behind) >= CONTEXT_OF_ONE_SIDE
        return one_side or self.both >= CONTEXT_OF_BOTH


def _carried_over(stayed: Sequence[MatchingBlock], start: int, end: int) -> tuple[int, int] | None:
    """Where the letters of the stretch that stayed begin and end in the present text."""
    first = last = None
    for run in stayed:
        low, high = max(run.a, start), min(run.a + run.size, end)
        if low < high:
            shift = run.b - run.a
            first = low + shift if first is None else first
            last = high + shift
    return None if first is None or last is None else (first, last)


def _nearly(quote: Quote, wanted: str, page: int, text: str) -> Iterator[Place]:
    for start, end, score in _alignments(wanted, text):
        around = _Context(quote, text, start, end)
        if score < 1 and around.fits(len(wanted)) and around.both >= CONTEXT_OF_BOTH:
            yield Place(page, start, end, score, around.both)


def _alignments(wanted: str, text: str) -> Iterator[tuple[int, int, float]]:
    """The best places of a page, without overlaps, that are alike enough."""
    rest = text
    for _ in range(_PLACES_OF_A_PAGE):
        if len(rest) < len(wanted) * ALIKE:
            return
        found = fuzz.partial_ratio_alignment(wanted, rest, score_cutoff=ALIKE * 100)
        if found is None or found.dest_end <= found.dest_start:
            return
        start, end = found.dest_start, found.dest_end
        yield start, end, Indel.normalized_similarity(wanted, text[start:end])
        # Another letter than any that is folded stands for what was found already.
        rest = rest[:start] + "\0" * (end - start) + rest[end:]


def _best(places: Sequence[Place]) -> Place | None:
    """None when two are about as likely."""
    ranked = sorted(places, key=lambda place: place.weight, reverse=True)
    if not ranked or ranked[0].score < ALIKE:
        return None
    if len(ranked) > 1 and ranked[0].weight - ranked[1].weight < MARGIN:
        return None
    return ranked[0]

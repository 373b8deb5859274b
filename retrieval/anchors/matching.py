"""Finds a quote again in another reading: word for word, else nearly so, else not at all.

What is found must have been meant: words that stand elsewhere in another context, or in two places that
are equally likely, are lost. Better a lost annotation than one at the wrong place, which nobody doubts.
"""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rapidfuzz import fuzz
from rapidfuzz.distance import Indel

from retrieval.anchors.ancestry import Ancestry
from retrieval.anchors.folding import digest, fold
from retrieval.anchors.quotes import Quote, occurrences_of

METHOD = 1
"""Raised when the same readings would be compared otherwise."""
ALIKE = 0.8
"""The least likeness (1 less the share of letters to take away or add) of words that changed."""
FEWEST_FUZZY = 12
"""Letters of the shortest quote that may have changed: of fewer any change makes another word."""
CONTEXT_OF_ONE_SIDE = 0.85
CONTEXT_OF_BOTH = 0.7
"""The least likeness of what stands around: before or behind, or both together. Any two texts of one
language come to 0.5."""
SURE_CONTEXT = 0.95
"""With so much the same around them, words are looked for nowhere else."""
SHORT = 32
"""Fewer letters stand in many places: what stands around them must fit on both sides."""
SPEAKS_FOR_ITSELF = 60
"""Letters that stand nowhere else word for word need no context on the page that became of theirs."""
MARGIN = 0.1
"""By so much the best place must be better than the next."""
_PAGES_LOOKED_THROUGH = 4
_PLACES_OF_A_PAGE = 3
_GRAM = 5
_MOST_GRAMS = 48
_MOST_OCCURRENCES = 200
"""Of more a short word has too many to tell them apart in time."""


@dataclass(frozen=True)
class Place:
    """Where a quote stands: folded characters of a page. `is_same_page`: all words of the page are those
    of the page it was made on."""

    page: int
    start: int
    end: int
    score: float
    context: float = 1.0
    is_same_page: bool = False

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
        for page, text in pages.items():
            self._digests.setdefault(digest(text), []).append(page)

    def find(self, quote: Quote, *, only_on: int | None = None) -> Place | None:
        """The one place where the quote stands; None when it is lost. `only_on`: the page that it must
        be on, where the pages are those it was made on, read anew."""
        wanted = fold(quote.exact)
        if not wanted:
            return None
        pages = list(self._pages) if only_on is None else [only_on]
        unchanged = self._on_unchanged_page(quote, wanted, only_on)
        if unchanged is not None:
            return unchanged
        known = [page for page in pages if page in self._pages]
        found = self._exact(quote, wanted, known, only_on)
        is_sure = any(place.context >= SURE_CONTEXT for place in found)
        if not is_sure and len(wanted) >= FEWEST_FUZZY:
            # Words that were changed where they stood may stand unchanged elsewhere.
            found += self._nearly(quote, wanted, known, only_on)
        return _best(found)

    def page_of(self, page_digest: bytes, *, only_on: int | None = None) -> int | None:
        """The one page that has all words of that page; None when there is none, or more than one, or
        when so few words tell nothing."""
        same = self._digests.get(page_digest, [])
        if only_on is not None:
            return only_on if only_on in same else None
        is_told = len(same) == 1 and len(self._pages[same[0]]) >= FEWEST_FUZZY
        return same[0] if is_told else None

    def _on_unchanged_page(self, quote: Quote, wanted: str, only_on: int | None) -> Place | None:
        page = self.page_of(quote.page_digest, only_on=only_on)
        if page is None:
            return None
        places = occurrences_of(wanted, self._pages[page])
        if quote.occurrence >= len(places):
            return None
        start = places[quote.occurrence]
        return Place(page, start, start + len(wanted), 1.0, is_same_page=True)

    def _exact(
        self, quote: Quote, wanted: str, pages: Sequence[int], only_on: int | None
    ) -> list[Place]:
        """The places word for word that may be meant."""
        places = [
            (page, start) for page in pages for start in occurrences_of(wanted, self._pages[page])
        ]
        if len(places) > _MOST_OCCURRENCES:
            return []
        is_alone = len(places) == 1 and len(wanted) >= SPEAKS_FOR_ITSELF
        found = []
        for page, start in places:
            around = _Context(quote, self._pages[page], start, start + len(wanted))
            if only_on or self._ancestry.is_of(page, quote.page):
                is_meant = is_alone or around.fits(len(wanted))
            else:
                is_meant = is_alone and around.is_the_same and self._stood_once(wanted)
            if is_meant:
                found.append(Place(page, start, start + len(wanted), 1.0, around.both))
        return found

    def _stood_once(self, wanted: str) -> bool:
        """Else one of them may have gone, and this is another."""
        return sum(len(occurrences_of(wanted, text)) for text in self._former.values()) == 1

    def _nearly(
        self, quote: Quote, wanted: str, pages: Sequence[int], only_on: int | None
    ) -> Iterator[Place]:
        for page in self._likely(quote, pages):
            if not (only_on or self._ancestry.is_of(page, quote.page)):
                continue
            text = self._pages[page]
            for start, end, score in _alignments(wanted, text):
                around = _Context(quote, text, start, end)
                if score < 1 and around.fits(len(wanted)) and around.both >= CONTEXT_OF_BOTH:
                    yield Place(page, start, end, score, around.both)

    def _likely(self, quote: Quote, pages: Sequence[int]) -> list[int]:
        """The pages that share the most runs of letters with the quote and what stood around it."""
        if len(pages) <= _PAGES_LOOKED_THROUGH:
            return list(pages)
        text = fold(quote.prefix) + fold(quote.exact) + fold(quote.suffix)
        step = max(1, len(text) // _MOST_GRAMS)
        grams = {text[i : i + _GRAM] for i in range(0, len(text) - _GRAM + 1, step)}

        def shared(page: int) -> tuple[int, int]:
            return sum(gram in self._pages[page] for gram in grams), -abs(page - quote.page)

        return heapq.nlargest(_PAGES_LOOKED_THROUGH, pages, key=shared)


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

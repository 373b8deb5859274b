"""Which page of a former version a page came from: by its letters, not by its number.

Contracts, forms and laws repeat whole paragraphs, so that words in their context may stand on several
pages. A page that is more like another page of the former version than like theirs is not where they are.
"""

import heapq
import zlib
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from retrieval.anchors.folding import digest

LEAST_ALIKE = 0.2
"""Pages that share less are others."""
_SKETCH = 64
_GRAM = 8


class Ancestry:
    """Of the pages of one version to those of a former one; both by number, folded."""

    def __init__(self, pages: Mapping[int, str], former: Mapping[int, str]) -> None:
        self._pages = pages
        self._former = former

    def heirs_of(self, former_page: int) -> list[int]:
        """The pages that became of that former one, and of no other, as far as can be told."""
        return self._heirs.get(former_page, [])

    def has_twins(self, page_digest: bytes) -> bool:
        """Whether several former pages had the words with that digest."""
        return len(self._by_digest.get(page_digest, ())) > 1

    @cached_property
    def _heirs(self) -> dict[int, list[int]]:
        heirs: dict[int, list[int]] = {}
        for page in self._pages:
            origins = self._origins_of(page)
            if len(origins) == 1:
                heirs.setdefault(next(iter(origins)), []).append(page)
        return heirs

    def _origins_of(self, page: int) -> frozenset[int]:
        """More than one where former pages had the same words; none for a new page."""
        same = self._by_digest.get(digest(self._pages[page]))
        if same is not None:
            return frozenset(same)
        present = sketch(self._pages[page])
        shared = Counter(number for each in present for number in self._by_hash.get(each, ()))
        alike = {
            number: common / max(len(present), len(self._sketches[number]))
            for number, common in shared.items()
        }
        best = max(alike.values(), default=0.0)
        if best < LEAST_ALIKE:
            return frozenset()
        return frozenset(number for number, value in alike.items() if value == best)

    @cached_property
    def _by_digest(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for number, text in self._former.items():
            found.setdefault(digest(text), []).append(number)
        return found

    @cached_property
    def _sketches(self) -> dict[int, frozenset[int]]:
        return {number: sketch(text) for number, text in self._former.items()}

    @cached_property
    def _by_hash(self) -> dict[int, list[int]]:
        """Which former pages have a hash: of thousands a page has something in common with few."""
        found: dict[int, list[int]] = {}
        for number, hashes in self._sketches.items():
            for each in hashes:
                found.setdefault(each, []).append(number)
        return found


def sketch(folded: str) -> frozenset[int]:
    """The least hashes of a page's runs of letters (Broder's MinHash): how many two pages have in common
    says how alike they are."""
    runs = {
        zlib.crc32(folded[place : place + _GRAM].encode(errors="replace"))
        for place in range(max(1, len(folded) - _GRAM + 1))
    }
    return frozenset(heapq.nsmallest(_SKETCH, runs))

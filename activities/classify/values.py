"""Values in texts, however they are written there: the one place that says when two writings are the same."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

_LONGEST_KEY = 4
"""Characters by which it is seen whether any value can begin at a place."""
_LEFT_OUT = frozenset({"Pd", "Cf", "Cc", "Zs", "Zl", "Zp"})
"""Dashes, characters that nobody sees, and white space: a line that ends in the middle of a value leaves
some of them in it, and the document's paragraphs have them no longer."""


@lru_cache(maxsize=4096)
def _folded(character: str) -> str:
    written = unicodedata.normalize("NFKC", character).casefold()
    return "".join(each for each in written if unicodedata.category(each) not in _LEFT_OUT)


def folded(value: str) -> str:
    """As values are compared: without case, width, white space, hyphens and characters that nobody sees."""
    return "".join(map(_folded, value))


@dataclass(frozen=True, slots=True)
class Place:
    """Part of a value in one of several texts: [`start`, `end`) of `text`."""

    value: str
    text: int
    start: int
    end: int


class ValueFinder:
    """Finds `values`, which are folded."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = frozenset(values) - {""}
        self._key_length = min(min(map(len, self._values), default=0), _LONGEST_KEY)
        lengths: dict[str, set[int]] = {}
        for value in self._values:
            lengths.setdefault(value[: self._key_length], set()).add(len(value))
        self._lengths = {key: sorted(of_key, reverse=True) for key, of_key in lengths.items()}

    def places(self, texts: Sequence[str]) -> Iterator[Place]:
        """In the order of their beginnings, of those that begin at one place the longest. The texts
        follow each other without a gap: a value that two hold together has a place in both."""
        if not self._values:
            return
        parts: list[str] = []
        origins: list[tuple[int, int]] = []
        for number, text in enumerate(texts):
            for place, character in enumerate(text):
                if kept := _folded(character):
                    parts.append(kept)
                    origins += [(number, place)] * len(kept)
        joined = "".join(parts)
        for first in range(len(joined)):
            lengths = self._lengths.get(joined[first : first + self._key_length], ())
            for length in lengths:
                if (value := joined[first : first + length]) in self._values:
                    yield from _places(value, origins[first : first + length])
                    break


def _places(value: str, origins: Sequence[tuple[int, int]]) -> Iterator[Place]:
    start = 0
    for behind in range(1, len(origins) + 1):
        if behind == len(origins) or origins[behind][0] != origins[start][0]:
            text, first = origins[start]
            yield Place(value, text, first, origins[behind - 1][1] + 1)
            start = behind

"""Whether two passages say the same: copies, versions and scans of one document.

By the share of short runs of characters that both have (shingles; Broder 1997, "On the resemblance and
containment of documents"), which needs no words and so holds for every script.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

SHINGLE_CHARACTERS = 8
LEAST_SHARED = 0.9
"""Of the shingles that either has. A word that is exchanged in a passage of a hundred costs .07, in one of
fifty .14: short passages are the same only where next to nothing differs."""

MANY_WORDS = 20
"""Passages of so many, of which less than half are the same, are not compared by their shingles, which takes
a tenth of a millisecond. Scripts without spaces have few words."""

_WORD = re.compile(r"\w+")
_FIGURE = re.compile(r"\w*\d\w*")


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


@dataclass(frozen=True)
class Said:
    """What a passage says with its headings, as it is compared: without case, punctuation and space."""

    words: tuple[str, ...]

    @classmethod
    def of(cls, headings: Sequence[str], text: str) -> "Said":
        """Headings belong to it: `not applicable` under one heading is not what it is under another."""
        return cls(tuple(_WORD.findall(_folded(" ".join((*headings, text))))))

    @cached_property
    def figures(self) -> tuple[str, ...]:
        """Words with a digit, in their order."""
        return tuple(word for word in self.words if _FIGURE.fullmatch(word))

    @cached_property
    def different_words(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def letters(self) -> str:
        return "".join(self.words)

    @cached_property
    def shingles(self) -> frozenset[str]:
        last = max(len(self.letters) - SHINGLE_CHARACTERS + 1, 1)
        return frozenset(self.letters[start : start + SHINGLE_CHARACTERS] for start in range(last))


@dataclass(frozen=True)
class Asked:
    """The words of a question and beginnings of words, as passages are compared."""

    words: frozenset[str]
    beginnings: tuple[str, ...] = ()

    @classmethod
    def of(cls, words: str, beginnings: Sequence[str] = ()) -> "Asked":
        begun = tuple(_folded(beginning) for beginning in beginnings)
        return cls(frozenset(_WORD.findall(_folded(words))), begun)

    def asks_for_any(self, words: frozenset[str]) -> bool:
        return bool(self.words & words) or any(word.startswith(self.beginnings) for word in words)


def says_the_same(one: Said, other: Said, asked: Asked) -> bool:
    """Never where a figure differs, as in the reports of two quarters, nor where a word differs that was
    asked for. Nothing says the same as nothing."""
    if not one.words or one.figures != other.figures:
        return False
    if one.letters == other.letters:
        return True
    shorter, longer = sorted((len(one.letters), len(other.letters)))
    if shorter < LEAST_SHARED * longer:
        return False
    words, other_words = one.different_words, other.different_words
    most = max(len(words), len(other_words))
    if most >= MANY_WORDS and 2 * len(words & other_words) < most:
        return False
    if asked.asks_for_any(words ^ other_words):
        return False
    both = len(one.shingles & other.shingles)
    return both >= LEAST_SHARED * (len(one.shingles) + len(other.shingles) - both)

"""Whether a passage says what a sentence of a model's answer claims, and in which of its sentences.

A check of words, not of truth: of a claim whose words stand nowhere in the passage, or whose numbers do
not, nothing is proven. What a model says in other words, or in another language than the document's, is
marked unproven too: rather too often than too rarely.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from retrieval.response import SearchHit
from retrieval.sealed_lexemes import sealed_lexemes
from retrieval.sentences import sentence_ranges

SUPPORT = 0.3
"""The share of a claim's words that stand in one sentence of the passage, or in the passage as a whole."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Support:
    """`quote` is the passage's sentence that says most of the claim, empty where none says anything of it.
    `is_given` when it says enough."""

    quote: str
    is_given: bool


class CitedPassage:
    """A passage, taken apart once however often it is cited."""

    def __init__(self, hit: SearchHit) -> None:
        self.hit = hit
        self._quotes = [hit.text[start:end] for start, end in sentence_ranges(hit.text)]
        self._lexemes = sealed_lexemes(self._quotes)
        self.numbers = numbers_of(hit.text)

    def support(self, claim: str, numbers: frozenset[str]) -> Support:
        """`numbers` are those of all passages that the claim is cited from."""
        if not self._quotes:
            return Support("", is_given=False)
        wanted = sealed_lexemes([claim])[0]
        shares = [_share(wanted, each) for each in self._lexemes]
        best = max(range(len(shares)), key=lambda place: (shares[place], -place))
        if shares[best] == 0.0:
            return Support("", is_given=False)
        in_passage = _share(wanted, frozenset().union(*self._lexemes))
        says_enough = max(shares[best], in_passage) >= SUPPORT
        return Support(self._quotes[best], says_enough and numbers_of(claim) <= numbers)


def last_sentence(text: str) -> str:
    """Of what was said before a mark: the claim that it belongs to."""
    ranges = sentence_ranges(text)
    return text[slice(*ranges[-1])] if ranges else ""


def numbers_of(text: str) -> frozenset[str]:
    """Without the separators of thousands and decimals, which languages write differently."""
    return frozenset(re.sub(r"[.,]", "", each) for each in _NUMBER.findall(text))


def numbers_of_all(passages: Sequence[CitedPassage]) -> frozenset[str]:
    return frozenset().union(*(each.numbers for each in passages))


def _share(wanted: frozenset[str], present: frozenset[str]) -> float:
    return len(wanted & present) / len(wanted) if wanted else 0.0

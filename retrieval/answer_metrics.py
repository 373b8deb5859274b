"""How near an answer is to one that is known to be right, as SQuAD measures it (Rajpurkar et al. 2016)."""

import re
import string
from collections import Counter
from collections.abc import Sequence

_MARK = re.compile(r"\s*\[\d+\]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def without_marks(answer: str) -> str:
    """The words of an answer, without the numbers of its citations."""
    return _MARK.sub("", answer)


def exact_match(answer: str, right: Sequence[str]) -> float:
    """1 where it is one of the right answers, but for case, articles, punctuation and spaces."""
    return float(_normalised(answer) in {_normalised(each) for each in right})


def token_f1(answer: str, right: Sequence[str]) -> float:
    """The harmonic mean of precision and recall of its words, by the right answer that it is nearest to."""
    return max(
        (_f1(_normalised(answer).split(), _normalised(each).split()) for each in right), default=0.0
    )


def _f1(given: Sequence[str], right: Sequence[str]) -> float:
    if not given or not right:
        return float(given == right)
    shared = (Counter(given) & Counter(right)).total()
    return 2 * shared / (len(given) + len(right))


def _normalised(text: str) -> str:
    plain = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())

"""What kind of question is asked, and how much meaning counts for it beside words.

Told by the question alone, never by what was found: so the order of two searches for the same words does
not depend on what else there is. The figures are in docs/decisions/0058-fusion.md
and 0076-signs-are-no-words.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from retrieval.request import Fusion, FusionMethod, SearchMode

FEW_WORDS = 4
"""A code or a name has no more, nor has what stands beside a quote; in a longer question it is one word of
several."""


class QueryType(StrEnum):
    """`quote`: most of it stands in quotation marks. `code`: a few words, one of which mixes letters, digits
    and signs. `name`: a few words, each with a capital. `question`: all else."""

    QUOTE = "quote"
    CODE = "code"
    NAME = "name"
    QUESTION = "question"


ALPHAS: Mapping[QueryType, float] = {
    QueryType.QUOTE: 0.1,
    QueryType.CODE: 0.1,
    QueryType.NAME: 0.3,
    QueryType.QUESTION: 0.5,
}
"""The weight of vectors. Of names more than is best for them: nouns of German, and titles, look the same."""

KNOWN_WELL, KNOWN_BADLY = 0.65, 0.25
"""Shares of the question's words that the embedding model's vocabulary has whole. From the one on meaning
counts in full, below the other not at all: it is a language that the model was not taught."""


@dataclass(frozen=True)
class Weighing:
    """How two lists become one. `alpha` is the weight of vectors; `query_type` is None where the question
    had no say in it."""

    method: FusionMethod
    alpha: float
    query_type: QueryType | None = None

    def without_words(self) -> "Weighing":
        """Where words found nothing: meaning alone orders the hits, however little it counts beside them."""
        return replace(self, alpha=1.0)


def weigh(query: str, fusion: Fusion, mode: SearchMode, known: float = 1.0) -> Weighing:
    """One list alone orders the hits where only one took part; else the request's weight holds, or that of
    the type of the question. `known`: the share of its words that the embedding model knows, 0–1."""
    if mode is SearchMode.LEXICAL:
        return Weighing(fusion.method, 0.0)
    if mode is SearchMode.VECTOR:
        return Weighing(fusion.method, 1.0)
    if fusion.alpha is not None:
        return Weighing(fusion.method, fusion.alpha)
    type_ = query_type(query)
    trust = min(max((known - KNOWN_BADLY) / (KNOWN_WELL - KNOWN_BADLY), 0.0), 1.0)
    return Weighing(fusion.method, ALPHAS[type_] * trust, type_)


# No part takes the sign that opens it, so that a text full of them is read once.
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^“”]+)”|„([^„“”]+)[“”]|«([^«»]+)»|「([^「」]+)」")
_WORD = re.compile(r"\w+")
_LETTER = "A-Za-z\u00c0-\u052f"
"""Latin, Greek and Cyrillic: elsewhere a sentence is one run of letters, and holds figures as well."""
_CODE = re.compile(
    rf"(?=\S*\d)(?=\S*[{_LETTER}])[{_LETTER}\d][{_LETTER}\d_./:#§-]*[{_LETTER}\d]"  # EN-1090, x86, A4
    r"|\d+(?:[./:#-]\d+)+"  # 2023/004, 10.1.2
)
_NAME = re.compile(r"[^\W\d_][^\W\d_'’.-]*(?:['’.-][^\W\d_]+)*\.?")
_PARTICLE = re.compile(
    r"af|al|bin|da|de|del|della|den|der|di|do|dos|du|el|la|le|of|ter|the|van|von|y|zu"
)


def query_type(query: str) -> QueryType:
    """By its form."""
    quoted = " ".join(part for found in _QUOTED.findall(query) for part in found)
    inside = len(_WORD.findall(quoted))
    outside = len(_WORD.findall(query)) - inside
    if outside < inside and outside <= FEW_WORDS:
        return QueryType.QUOTE
    parts = query.split()
    if not 0 < len(parts) <= FEW_WORDS:
        return QueryType.QUESTION
    if any(_CODE.fullmatch(part.strip("()[],;?!")) for part in parts):
        return QueryType.CODE
    return QueryType.NAME if _is_name(parts) else QueryType.QUESTION


def _is_name(parts: list[str]) -> bool:
    """Two words with a capital at least, none without but particles, and no acronym."""
    named = [part for part in parts if not _PARTICLE.fullmatch(part)]
    return len(named) > 1 and all(
        part[0].isupper() and not part[1:].isupper() and _NAME.fullmatch(part) for part in named
    )

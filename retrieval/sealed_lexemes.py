"""The lexemes of texts that PostgreSQL is not to see: as its configuration `english` makes them, near
enough to weigh sentences by. Both stem by Snowball's English (Porter2)."""

from collections.abc import Sequence

import regex
from py_rust_stemmers import SnowballStemmer

from retrieval.grouped_numbers import ungrouped
from retrieval.letter_pairs import in_pairs

_ENGLISH_STOP = """
i me my myself we our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves what which who whom this that these those am is
are was were be been being have has had having do does did doing a an the and but if or because as until
while of at by for with about against between into through during before after above below to from up
down in out on off over under again further then once here there when where why how all any both each
few more most other some such no nor not only own same so than too very s t can will just don should now
"""
STOP_WORDS = frozenset(_ENGLISH_STOP.split())
"""PostgreSQL's `english.stop`."""

_WORD = regex.compile(r"[\p{Alphabetic}\p{N}_]\w*")
"""As PostgreSQL's parser has it, a mark that is no letter begins no word."""


def sealed_lexemes(texts: Sequence[str]) -> list[frozenset[str]]:
    """For each text."""
    stemmer = SnowballStemmer("english")
    return [
        frozenset(stemmer.stem_word(word) for word in written_words(text) if word not in STOP_WORDS)
        for text in texts
    ]


def stemmed(words: Sequence[str]) -> list[str]:
    """Each as its lexeme, those that English leaves out too."""
    stemmer = SnowballStemmer("english")
    return [stemmer.stem_word(word) for word in words]


def written_words(text: str) -> list[str]:
    """In small letters, in their order; pairs of letters where a script puts no space between words."""
    words: list[str] = _WORD.findall(in_pairs(ungrouped(text.lower())))
    return words

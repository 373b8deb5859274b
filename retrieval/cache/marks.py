"""The words in which two questions have to be equal for one to be told the other's answer.

Vectors hardly show what tells questions apart: "who may" and "who may not" lie as near to each other as two
wordings of one question do. No list names all words that tell, so it is the other way round: every word
tells, in its place and as it is written, but those few that are known to say nothing.

Kept on purpose: the articles of other languages than English, which have cases and genders (`le livre`, `la
livre`); `a` (`few`, `a few`); endings (`experience` and `experiment` have one stem); capitals (`us`, `US`).
"""

import re
import unicodedata

_POLITE_BEGINNING = re.compile(
    r"(?:please,? tell me|(?:can|could|would) you (?:please )?tell me|tell me|please|kindly"
    r"|bitte sagen sie mir|sagen sie mir(?: bitte)?|bitte"
    r"|s['’]il vous plaît|por favor|per favore)(?:\s*[,:])?\s+",
    re.IGNORECASE,
)
_POLITE_END = re.compile(
    r"\s*,\s*(?:please|bitte|s['’]il vous plaît|por favor|per favore)$", re.IGNORECASE
)
_ENGLISH_BEGINNINGS = frozenset(
    ("who", "whom", "whose", "what", "when", "where", "why", "which", "how", "did", "does")
)
"""Words with which only English questions begin."""
_ENGLISH_EMPTY = "the"


def telling_words(question: str) -> tuple[str, ...] | None:
    """In their order, with all signs at them. None for a question that is alike to none: it has no letters,
    or some of a script of which nothing here knows which words say nothing."""
    letters = [each for each in question if each.isalpha()]
    if not letters or not all(_is_latin(each) for each in letters):
        return None
    asked = unicodedata.normalize("NFC", " ".join(question.split()))
    asked = asked.removesuffix("?").rstrip().removeprefix("¿").lstrip()
    asked = _POLITE_END.sub("", asked)
    polite = _POLITE_BEGINNING.match(asked)
    words = asked[polite.end() if polite else 0 :].split()
    if words and words[0].istitle():
        # The sentence's capital. That of a name is lost with it, as no name is one with another word.
        words[0] = words[0].casefold()
    if words and words[0] in _ENGLISH_BEGINNINGS:
        words = [each for each in words if each != _ENGLISH_EMPTY]
    return tuple(words) or None


def _is_latin(letter: str) -> bool:
    return unicodedata.name(letter, "").startswith("LATIN ")

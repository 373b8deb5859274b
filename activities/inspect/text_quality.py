"""Whether a page's text reads as a language, or shows that the fonts' maps are wrong."""

import re
import unicodedata
from collections.abc import Sequence

from activities.read.scripts import is_mixed

UNREADABLE_SHARE = 0.15
"""Replacement, control and private-use characters: beyond this share the fonts' maps are wrong."""
CONTROL_SHARE = 0.03
FEWEST_VOWELS = 0.25
"""Of Latin letters, in languages written with them 30 to 50 per cent. Fewer beside control characters:
numbers of glyphs were taken for characters, by which digits and signs become controls."""
FEWEST_DISTINCT_CHARACTERS = 12
REPETITIVE_FROM = 200
"""A text of that length in so few different characters is no language."""
FEWEST_WORDS = 25
"""Of fewer words nothing can be said."""
BROKEN_SHARE = 0.12
"""Words with a sign in their middle ("di!cult"): a ligature was given another's code."""
VOWELLESS_SHARE = 0.45
"""Latin words without a vowel: letters were shifted or exchanged."""
MIXED_SHARE = 0.2
"""Words of letters that no language writes in one word: glyph numbers were taken for characters."""
FEWEST_LETTERED_WORDS = 8
SHORTEST_TELLING_WORD = 4

_WORD = re.compile(r"\S+")
_BROKEN = re.compile(r"^[^\W\d_]+[!\"#$%*+;<=>?^`{|}~¡-¿×÷][^\W\d_]+$")
_BEYOND_LATIN = 0x250
_VOWELS = frozenset("aeiouyæœøıə")


def fault_of(text: str) -> str | None:
    """What is wrong with the text, in a few words for the page's plan; None when nothing is."""
    characters = [character for character in text if not character.isspace()]
    if not characters:
        return None
    if _unreadable_share(characters) > UNREADABLE_SHARE:
        return "unreadable text layer"
    if _counts_glyphs(characters):
        return "text layer with wrong letters"
    if len(characters) >= REPETITIVE_FROM and len(set(characters)) < FEWEST_DISTINCT_CHARACTERS:
        return "senseless text layer"
    words = _WORD.findall(text)
    broken = sum(1 for word in words if _BROKEN.match(word))
    if len(words) >= FEWEST_WORDS and broken > BROKEN_SHARE * len(words):
        return "text layer with wrong letters"
    lettered = [word for word in words if any(map(str.isalpha, word))]
    mixed = sum(map(is_mixed, lettered))
    if len(lettered) >= FEWEST_LETTERED_WORDS and mixed > MIXED_SHARE * len(lettered):
        return "text layer of mixed scripts"
    latin = [word for word in words if len(word) >= SHORTEST_TELLING_WORD and _is_latin(word)]
    vowelless = sum(1 for word in latin if not _has_vowel(word))
    if len(latin) >= FEWEST_WORDS and vowelless > VOWELLESS_SHARE * len(latin):
        return "text layer with wrong letters"
    return None


def _unreadable_share(characters: Sequence[str]) -> float:
    unreadable = sum(
        1
        for character in characters
        if character == "\ufffd" or unicodedata.category(character) in ("Cc", "Co", "Cn", "Cs")
    )
    return unreadable / len(characters)


def _counts_glyphs(characters: Sequence[str]) -> bool:
    controls = sum(1 for character in characters if character < " ")
    if controls <= CONTROL_SHARE * len(characters):
        return False
    letters = [character for character in characters if character.isalpha()]
    latin = "".join(letter for letter in letters if ord(letter) < _BEYOND_LATIN).lower()
    if 2 * len(latin) < len(letters):
        return False
    return sum(map(_VOWELS.__contains__, latin)) < FEWEST_VOWELS * len(latin)


def _is_latin(word: str) -> bool:
    """Letters only, in small ones but for the first: neither an abbreviation nor a code."""
    return word.isalpha() and word[1:].islower() and ord(word[0]) < _BEYOND_LATIN


def _has_vowel(word: str) -> bool:
    return any(letter in _VOWELS for letter in unicodedata.normalize("NFD", word.lower()))

"""The scripts that a word's letters belong to."""

import unicodedata
from functools import cache

_EAST_ASIAN = frozenset(("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO", "IDEOGRAPHIC"))
_MATHEMATICAL = frozenset(("GREEK", "MATHEMATICAL", "ANGSTROM", "OHM", "MICRO", "KELVIN", "SCRIPT"))
_LATIN = frozenset(("LATIN", "FEMININE", "MASCULINE", "FULLWIDTH", "DOUBLE-STRUCK", "BLACK-LETTER"))


def is_mixed(word: str) -> bool:
    """Whether letters of scripts stand in it that no language writes in one word. Latin letters with
    Greek ones are formulas; East Asian text has no spaces, so that Latin words stand in its words."""
    if word.isascii():
        return False
    scripts = {_script(character) for character in word if character.isalpha()}
    scripts.discard("")
    if "East Asian" in scripts:
        scripts.discard("Latin")
    return len(scripts) > 1


@cache
def _script(letter: str) -> str:
    """The first word of the letter's name is its script's, for all but a few; nothing for letters
    that go with any."""
    name = unicodedata.name(letter, "").partition(" ")[0]
    if name in _EAST_ASIAN:
        return "East Asian"
    if name in _LATIN or name in _MATHEMATICAL:
        return "Latin"
    return "" if name == "MODIFIER" else name

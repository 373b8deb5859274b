"""Whether a text names a person: by one of the identifiers that were given, as whole words, however they
are capitalised and broken into lines; numbers however their digits are grouped."""

import re
import unicodedata
from collections.abc import Iterator, Sequence

from pydantic import JsonValue

CARRIED_CHARACTERS = 400
"""Of the end of a passage, looked at again before the next one: an identifier may stand across both.
Twice the longest."""
_SEPARATOR = r"[\s().\u2010-\u2015/-]"
_SEPARATORS = re.compile(_SEPARATOR)
_LEAST_DIGITS = 5
_SPACED = ("LATIN", "GREEK", "CYRILLIC", "ARMENIAN", "GEORGIAN", "DIGIT")
"""Scripts that put spaces between words: elsewhere a word may be followed by any letter."""


class Identifiers:
    """Compiled once, for any number of texts."""

    def __init__(self, identifiers: Sequence[str]) -> None:
        self._pattern = re.compile("|".join(_expression(_folded(each)) for each in identifiers))

    def stands_in(self, words: str, *, behind: str = "") -> bool:
        """Whether one stands in the words, or across the end of what came before them and their beginning."""
        before = _folded(behind)
        found = self._pattern.finditer(f"{before}{_folded(words)}" if behind else _folded(words))
        return any(match.end() > len(before) for match in found)

    def stands_within(self, value: JsonValue) -> bool:
        """Whether one stands in a text of the value, however deep, or is a number in it."""
        return any(self.stands_in(each) for each in _texts(value))


def _folded(words: str) -> str:
    return unicodedata.normalize("NFKC", words).casefold()


def _expression(identifier: str) -> str:
    bare = _SEPARATORS.sub("", identifier).removeprefix("+")
    if _is_number(bare):
        return rf"(?<!\w){f'{_SEPARATOR}{{0,3}}'.join(bare)}(?!\w)"
    words = identifier.split()
    body = r"\s+".join(re.escape(word) for word in words)
    before = r"(?<!\w)" if _is_spaced(words[0][0]) else ""
    behind = r"(?!\w)" if _is_spaced(words[-1][-1]) else ""
    return f"{before}{body}{behind}"


def _is_number(bare: str) -> bool:
    """Of a telephone, a card, an account: digits for the greater part, and few letters of ASCII."""
    digits = sum(character.isdigit() for character in bare)
    return digits >= _LEAST_DIGITS and bare.isascii() and bare.isalnum() and digits * 2 > len(bare)


def _is_spaced(character: str) -> bool:
    return unicodedata.name(character, "").startswith(_SPACED)


def _texts(value: JsonValue) -> Iterator[str]:
    """Names of fields too: whose keys are people's names is looked through as well."""
    rest: list[JsonValue] = [value]
    while rest:
        each = rest.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, dict):
            yield from each
            rest += each.values()
        elif isinstance(each, list):
            rest += each
        elif isinstance(each, int | float) and not isinstance(each, bool):
            yield str(each)

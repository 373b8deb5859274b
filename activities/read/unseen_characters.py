"""Characters that take no room on a page: text made of them is read by machines only.

Unicode's tag characters spell ASCII that nobody sees; zero-width spaces, direction overrides and runs
of variation selectors can carry a message or make a text read otherwise than it looks. The joiners
U+200C and U+200D are part of Persian and Indic spelling and stay.
"""

import re

_TAGS = range(0xE0000, 0xE0080)
_UNSEEN = re.compile(
    "[\u00ad\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef]|[\ufe00-\ufe0f]{2,}"
)
_HARMLESS = frozenset("\u00ad\u200b\u200e\u200f\ufeff")
"""A soft hyphen, a place where a word may break, marks of direction and of byte order."""


def without_unseen(text: str) -> tuple[str, str]:
    """The text as it is seen, and what was taken out of it that may carry a message: tag characters
    as the ASCII they spell, others by their code points."""
    found = _UNSEEN.findall(text)
    if not found:
        return text, ""
    return _UNSEEN.sub("", text), "".join(_spelled(part) for part in found)


def _spelled(characters: str) -> str:
    return "".join(
        chr(ord(character) - _TAGS.start)
        if ord(character) in _TAGS and ord(character) - _TAGS.start >= 0x20
        else f"<U+{ord(character):04X}>"
        for character in characters
        if character not in _HARMLESS
    )

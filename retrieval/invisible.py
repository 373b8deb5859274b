"""Characters that nobody sees and a machine reads: in them text is hidden from people."""

import re
import unicodedata

# Zero-width and word joiners, byte order marks, directional controls, tags, and the further variation
# selectors (Unicode 16, 23). The joiners U+200C and U+200D stay: Persian, Hindi and emoji are written
# with them.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ufeff\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
# What Arabic, Hebrew, Thai and Japanese are written with is not among these.
_HIDING = re.compile(
    "[\u202a-\u202e\u2060-\u2064\u206a-\u206f\U000e0000-\U000e007f]"
    "|(?<=[A-Za-z])\u200b(?=[A-Za-z])|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

TAGS = re.compile("[\U000e0020-\U000e007e]+")
"""A second alphabet, of which nothing is shown: whole sentences have been hidden in it."""


def without_invisible(text: str) -> str:
    return _CONTROLS.sub("", _INVISIBLE.sub("", text.replace("\r\n", "\n")))


def hidden_count(text: str) -> int:
    """How many there are that no script needs."""
    return sum(len(each) for each in _HIDING.findall(text))


def revealed(text: str) -> str:
    """As a machine may read it: tags as the letters that they stand for, the rest of them gone, compatibility
    forms as what they look like."""
    shown = TAGS.sub(lambda run: "".join(chr(ord(each) - 0xE0000) for each in run.group()), text)
    return unicodedata.normalize("NFKC", without_invisible(shown))

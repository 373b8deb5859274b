"""Whether two passages say the same: copies, versions and scans of one document.

Every word counts: one `not` more, or another name in the same letter, makes it something else.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import regex

_PART = regex.compile(r"[\w\p{Sm}\p{Sc}]+|(?<!\w)[-–(](?=\d)|[%‰]")
"""Words, and signs that mean something: `-5`, `(5)`, `< 5`, `$5` and `5 %` are not `5`."""

_SCANNED = str.maketrans({"l": "i", "ı": "i"})
"""Letters that scans take for one another; `rn` and `m` are others."""


@dataclass(frozen=True)
class Said:
    """What a passage says, as it is compared: without case, space and punctuation. `figures` are its words
    with a digit, in their order."""

    letters: str
    figures: tuple[str, ...]

    @classmethod
    def of(cls, headings: Sequence[str], text: str) -> "Said":
        """Headings belong to it: `not applicable` under one heading is not what it is under another."""
        folded = unicodedata.normalize("NFKC", " ".join((*headings, text))).casefold()
        # The borders of a table are drawn in one copy and not in another.
        parts: list[str] = _PART.findall(folded.replace("|", " "))
        letters = "".join(parts).translate(_SCANNED).replace("rn", "m")
        figures = (part for part in parts if any(map(str.isdigit, part)))
        return cls(letters, tuple(figures))

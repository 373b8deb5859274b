"""Text as it is compared, and the way back to where it stood.

White space and hyphens at line ends go, since layout decides over them; ligatures, widths and composed
letters become one form (NFKD), and so do the quotation marks and dashes that engines read differently.
"""

import hashlib
import re
import unicodedata
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

_PIECE = re.compile(
    r"(?<=\w)[-‐\u00ad][^\S\n]*+\n\s*+(?=\w)|\s++|[\x21-\x2c\x2e-\x5f\x61-\x7e]+|.", re.DOTALL
)
"""A hyphen at a line's end, white space, a run of ASCII that stays as it is, or any other character.
Possessive: a hyphen before 100,000 empty lines is looked at once, not once for each."""
_ONE_FORM = {ord("\u00ad"): None, ord("\u200b"): None, ord("\ufeff"): None, 0: None} | {
    ord(written): one
    for one, many in (("'", "‘’‚`´"), ('"', "“”„«»"), ("-", "‐‑‒–—−"))
    for written in many
}


@dataclass(frozen=True)
class Folded:
    """`offsets[i]` is the code point of the text that the folded character `i` came from."""

    text: str
    offsets: "array[int]"

    def stretch(self, start: int, end: int) -> tuple[int, int]:
        """Start and end, in code points of the text, of what the folded characters came from."""
        return self.offsets[start], self.offsets[end - 1] + 1


def fold(text: str) -> str:
    """The folded text alone."""
    return "".join(folded for _, folded in _pieces(text))


def fold_with_offsets(text: str) -> Folded:
    """The folded text with the places that it came from."""
    pieces: list[str] = []
    offsets = array("I")
    for start, folded in _pieces(text):
        pieces.append(folded)
        is_run = text.startswith(folded, start)
        offsets.extend(range(start, start + len(folded)) if is_run else [start] * len(folded))
    return Folded("".join(pieces), offsets)


def digest(folded: str) -> bytes:
    """SHA-256, equal for pages whose words are the same."""
    return hashlib.sha256(folded.encode(errors="replace")).digest()


def _pieces(text: str) -> Iterator[tuple[int, str]]:
    for found in _PIECE.finditer(text):
        piece = found.group()
        if piece[-1].isspace():
            continue
        if len(piece) == 1:
            piece = _of_one(piece)
        if piece:
            yield found.start(), piece


def _of_one(character: str) -> str:
    one = character.translate(_ONE_FORM)
    return "".join(unicodedata.normalize("NFKD", one).split())

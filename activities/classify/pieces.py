"""Texts in pieces, so that no expression ever runs over more than a few kilobytes."""

from collections.abc import Iterator
from dataclasses import dataclass

PIECE_LENGTH = 8192
"""Code points of a piece; detection was fastest at about 8 KB."""

OVERLAP = 1024
LONGEST_FINDING = OVERLAP // 2
"""What is at most this long, with this much context before it, is seen whole in some piece."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a page's text from code point `offset` on. It answers for the findings that begin in
    [`owned_start`, `owned_end`) of its text, and for no others, so that none counts twice."""

    text: str
    offset: int
    owned_start: int
    owned_end: int

    def owns(self, start: int) -> bool:
        return self.owned_start <= start < self.owned_end


def pieces_of(text: str) -> Iterator[Piece]:
    """Overlapping pieces whose owned parts cover the text without gap or overlap."""
    offset = 0
    while True:
        is_last = offset + PIECE_LENGTH >= len(text)
        part = text[offset : offset + PIECE_LENGTH]
        yield Piece(
            text=part,
            offset=offset,
            owned_start=LONGEST_FINDING if offset else 0,
            owned_end=len(part) if is_last else PIECE_LENGTH - LONGEST_FINDING,
        )
        if is_last:
            return
        offset += PIECE_LENGTH - OVERLAP

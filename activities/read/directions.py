"""Lines of scripts that run from right to left, in the order in which they are read."""

import unicodedata
from collections.abc import Iterable, Sequence

from activities.read.words import Placed

_RIGHT_TO_LEFT = frozenset({"R", "AL"})


def is_right_to_left(text: str) -> bool:
    """Whether most letters are of a script that runs so."""
    if text.isascii():
        return False
    return _share(text) > 0.5


def has_right_to_left(text: str) -> bool:
    return not text.isascii() and _share(text) > 0


def _share(text: str) -> float:
    letters = [unicodedata.bidirectional(character) for character in text if character.isalpha()]
    return sum(1 for letter in letters if letter in _RIGHT_TO_LEFT) / max(1, len(letters))


def logical_order(words: Iterable[Placed]) -> list[Placed]:
    """Words from right to left; numbers and words of other scripts that stand together keep their
    own order, with the marks between them."""
    logical: list[Placed] = []
    island: list[Placed] = []
    marks: list[Placed] = []
    for placed in sorted(words, key=lambda placed: -placed.box.right):
        if has_right_to_left(placed.word.text):
            logical += [*reversed(island), *marks, placed]
            island, marks = [], []
        elif any(letter.isalnum() for letter in placed.word.text):
            if island:
                island += [*marks, placed]
            else:
                logical += marks
                island = [placed]
            marks = []
        else:
            marks.append(placed)
    return [*logical, *reversed(island), *marks]


def is_right_to_left_page(texts: Sequence[str]) -> bool:
    """Whether most letters of the page are of a script that runs so."""
    return is_right_to_left(" ".join(texts))

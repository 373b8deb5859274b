"""What a page's content is made of, before anything is known of its lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from activities.read.geometry import Box, Turn


@dataclass(frozen=True, slots=True)
class Style:
    """How a word is set; `size` is the height of the font's em square, in points, `font` tells fonts
    of a page apart."""

    size: float
    font: str = ""
    bold: bool = False
    italic: bool = False
    monospace: bool = False
    symbol: bool = False


@dataclass(frozen=True, slots=True)
class Word:
    """`box` is the word's place on the page, `turn` the direction of its text. A word is `askew`
    when it runs at no right angle, and `hidden` when its rendering mode paints nothing."""

    text: str
    box: Box
    style: Style
    turn: Turn = Turn.RIGHT
    askew: bool = False
    hidden: bool = False


class Placed(NamedTuple):
    """A word and its box on the upright page."""

    word: Word
    box: Box

    @property
    def size(self) -> float:
        return self.word.style.size


@dataclass(frozen=True, slots=True)
class Content:
    """A page's words in the order of its content stream, the straight edges of what is drawn on it
    (each a box without width or without height) and its pictures."""

    words: Sequence[Word]
    edges: Sequence[Box] = field(default=())
    pictures: Sequence[Box] = field(default=())

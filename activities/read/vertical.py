"""Text set from top to bottom: its characters as words that run down, columns from right to left."""

from collections.abc import Sequence
from dataclasses import replace

import regex

from activities.read.geometry import Turn, overlap
from activities.read.words import Word

WIDEST_GAP = 0.35
"""Between the characters of a column, in ems; rows of a table are further apart."""
WIDEST = 1.3
"""Of what stands in a column, in ems: a character, or a small figure set across."""
FEWEST_CHARACTERS = 3

_IDEOGRAPHIC = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}ー〜、。「」『』（）・…：；]"
)


def is_ideographic(text: str) -> bool:
    """Whether most characters are of scripts that are set from top to bottom too."""
    return 2 * len(_IDEOGRAPHIC.findall(text)) > len(text)


def with_vertical_runs(words: Sequence[Word]) -> list[Word]:
    """The words in their order, with those of Chinese and Japanese that stand below each other, one
    after the other in the stream, as one word that runs down."""
    merged: list[Word] = []
    run: list[Word] = []
    for word in words:
        if run and not _continues(run[-1], word):
            merged += _closed(run)
            run = []
        run.append(word)
    return [*merged, *_closed(run)]


def _continues(before: Word, word: Word) -> bool:
    size = max(before.style.size, word.style.size)
    if before.turn is not Turn.RIGHT or word.turn is not Turn.RIGHT:
        return False
    if before.askew or word.askew or max(before.box.width, word.box.width) > WIDEST * size:
        return False
    shared = overlap(before.box.left, before.box.right, word.box.left, word.box.right)
    gap = word.box.top - before.box.bottom
    return (
        2 * shared > min(before.box.width, word.box.width)
        and -WIDEST_GAP * size <= gap <= WIDEST_GAP * size
        and word.box.middle > before.box.middle
    )


def _closed(run: Sequence[Word]) -> list[Word]:
    ideographic = sum(1 for word in run if _IDEOGRAPHIC.search(word.text))
    if len(run) < FEWEST_CHARACTERS or 2 * ideographic <= len(run):
        return list(run)
    box = run[0].box
    for word in run[1:]:
        box = box.joined(word.box)
    return [replace(run[0], text="".join(word.text for word in run), box=box, turn=Turn.DOWN)]

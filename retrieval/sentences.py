"""Where sentences begin and end in a passage, as ranges: a quote is then the text itself.

Rules for scripts with and without spaces, and for what passages hold besides prose: headings, list
items, table rows. A full stop ends nothing after an abbreviation or an initial, nor before a small
letter; in a number nothing follows it that could begin a sentence.
"""

import re
from collections.abc import Iterator

MAX_SENTENCE_CHARACTERS = 500
"""Longer stretches (tables, legal prose without a stop) are cut at a space."""

_HEADING_CHARACTERS = 60
"""A shorter line without a stop, before one that begins anew, is a heading: wrapped prose is longer."""

_ABBREVIATIONS = frozenset(
    {"al", "approx", "bzw", "ca", "cf", "dr", "ed", "eds", "eg", "esp", "hr", "ie", "jr", "mr"}
    | {"mrs", "ms", "mt", "prof", "sr", "st", "str", "viz", "vgl", "vs", "zb"}
)
_ABBREVIATIONS_BEFORE_NUMBERS = frozenset(
    {"app", "art", "ch", "chap", "co", "eq", "fig", "figs", "max", "min", "no", "nos", "nr", "op"}
    | {"para", "pp", "ref", "refs", "sec", "sect", "tab", "vol", "vols"}
)
_CLOSERS = "\"'”’»›)\\]"
_OPENERS = "\"'“‘«‹(\\[¿¡"
_STOP = re.compile(
    rf"[.!?…]+[{_CLOSERS}]*(?=\s+[{_OPENERS}]*[^\W_a-zà-öø-ÿа-я])|[。！？｡]+[」』”’）]*"
)
_BLANK = re.compile(r"\n[ \t\r]*\n\s*")
_ITEM = re.compile(r"[ \t]*(?:[-*•‣–▪◦|#>]|\(?\d{1,3}[.)]\s|\(?[a-z][.)]\s)")
_LAST_WORD = re.compile(r"([^\W\d_](?:[^\W\d_]|\.)*)\.$")


def sentence_ranges(text: str) -> list[tuple[int, int]]:
    """[start, end) of every sentence in order, without the white space around it.

    The ranges do not overlap, none is empty or longer than MAX_SENTENCE_CHARACTERS, and together
    they hold all of `text` but white space.
    """
    ranges: list[tuple[int, int]] = []
    for start, end in _blocks(text):
        for first, last in _sentences(text, start, end):
            ranges += _bounded(text, first, last)
    return ranges


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Stretches that no sentence crosses: paragraphs, headings, list items, table rows."""
    start = 0
    for line_end in (match.start() for match in re.finditer(r"\n", text)):
        if _breaks(text, start, line_end):
            yield start, line_end
            start = line_end
    yield start, len(text)


def _breaks(text: str, block_start: int, line_end: int) -> bool:
    if _BLANK.match(text, line_end):
        return True
    line = text[max(block_start, text.rfind("\n", 0, line_end) + 1) : line_end].strip()
    following = text[line_end + 1 :].lstrip(" \t")[:1]
    if _ITEM.match(text, line_end + 1) or line.startswith(("|", "#")):
        return True
    begins_anew = following.isupper() or following.isdigit()
    return begins_anew and len(line) < _HEADING_CHARACTERS and not line.endswith((",", "-", "–"))


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    for match in _STOP.finditer(text, start, end):
        if not _is_abbreviation(text, start, match):
            yield start, match.end()
            start = match.end()
    yield start, end


def _is_abbreviation(text: str, start: int, stop: re.Match[str]) -> bool:
    if stop.group() != ".":
        return False
    word = _LAST_WORD.search(text, max(start, stop.end() - 24), stop.end())
    if word is None:
        return False
    letters = word.group(1).lower()
    if letters in _ABBREVIATIONS_BEFORE_NUMBERS:
        return text[stop.end() : stop.end() + 8].lstrip()[:1].isdigit()
    return len(letters) == 1 or "." in letters or letters in _ABBREVIATIONS


def _bounded(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Without white space around it, in parts of bounded length."""
    while True:
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start == end:
            return
        if end - start <= MAX_SENTENCE_CHARACTERS:
            yield start, end
            return
        limit = start + MAX_SENTENCE_CHARACTERS
        space = max(text.rfind(" ", start + 1, limit), text.rfind("\n", start + 1, limit))
        cut = space if space > start else limit
        yield from _bounded(text, start, cut)
        start = cut

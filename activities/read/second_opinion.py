"""What docling-parse decoded wrongly, by pdfium's reading of the same glyphs.

Each library knows encodings that the other does not: docling-parse takes Mac Roman codes for Latin-1,
two codes of one byte for one of two, and gives U+FFFD or a letter of another script for a glyph that a
font's map leaves out. Where a word cannot be right, pdfium's characters in its place are taken; where
most of a page's letters are unknown to pdfium, the page is left to it.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial

import pypdfium2
import pypdfium2.raw as pdfium

from activities.read.geometry import Box, Turn
from activities.read.painted import in_frame
from activities.read.scripts import is_mixed
from activities.read.words import Word

FOREIGN_SHARE = 0.5
FEWEST_WORDS = 5
SHORTEST_WORD = 2
MOST_TIMES = 2
"""So many times the characters that pdfium sees, and it is pdfium that lacks the codes."""
MOST_CHARACTERS = 50_000
_UNKNOWN = re.compile("[\ufffd\0]+")
_INTRUDER = re.compile("(?<=[a-z])[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af](?=[a-z])")
"""One East Asian character within a Latin word."""
_LONGEST_UNKNOWN = 3
"""Letters that may stand for one unknown: a ligature has three."""
_REACH_POINTS = 0.5


class SecondOpinion:
    """pdfium's characters on one page; `text_page` is to stay open meanwhile."""

    def __init__(self, page: pypdfium2.PdfPage, text_page: pypdfium2.PdfTextPage) -> None:
        self._page = page
        self._text_page = text_page
        self._text = _folded(text_page.get_text_range()) if text_page.count_chars() > 0 else ""
        self._places: list[tuple[str, float, float]] | None = None

    def contradicts(self, words: Sequence[Word]) -> bool:
        """Whether most words are made of characters that pdfium sees nowhere on the page, though it
        sees about as many: they were decoded by the wrong codes."""
        known = frozenset(self._text)
        texts = [text for text in map(_folded_text, words) if len(text) >= SHORTEST_WORD]
        if len(texts) < FEWEST_WORDS or sum(map(len, texts)) > MOST_TIMES * len(self._text):
            return False
        foreign = sum(map(partial(_is_foreign, known), texts))
        return foreign > FOREIGN_SHARE * len(texts)

    def corrected(self, words: Sequence[Word]) -> list[Word]:
        """The words, with pdfium's characters in those that cannot be right."""
        return [self._corrected(word) if self._is_doubtful(word) else word for word in words]

    def _is_doubtful(self, word: Word) -> bool:
        text = word.text
        if text.isascii() and "\0" not in text:
            return False
        suspicious = (
            _UNKNOWN.search(text)
            or _INTRUDER.search(text)
            or is_mixed(text)
            or any(map(_as_mac_roman, text))
        )
        return bool(suspicious) and _folded(text) not in self._text

    def _corrected(self, word: Word) -> Word:
        seen = "".join(self._characters_in(word.box))
        text = _INTRUDER.sub("\ufffd", word.text)
        if _UNKNOWN.search(text):
            known = _without_unknown(text, seen)
            return word if known is None else replace(word, text=known)
        if len(seen) != len(word.text):
            return word
        if is_mixed(word.text):
            return word if is_mixed(seen) else replace(word, text=seen)
        text = "".join(
            other if _as_mac_roman(own) == other else own
            for own, other in zip(word.text, seen, strict=True)
        )
        return word if text == word.text else replace(word, text=text)

    def _characters_in(self, box: Box) -> Iterator[str]:
        if self._places is None:
            self._places = list(self._find_places())
        for character, x, y in self._places:
            if (
                box.left - _REACH_POINTS <= x <= box.right + _REACH_POINTS
                and box.top <= y <= box.bottom
            ):
                yield character

    def _find_places(self) -> Iterator[tuple[str, float, float]]:
        frame, rotation = self._page.get_bbox(), Turn(self._page.get_rotation() % 360)
        for index in range(min(self._text_page.count_chars(), MOST_CHARACTERS)):
            character = chr(pdfium.FPDFText_GetUnicode(self._text_page.raw, index))
            if character.isspace() or character == "\0":
                continue
            box = in_frame(Box(*self._text_page.get_charbox(index)), frame, rotation)
            yield character, (box.left + box.right) / 2, box.middle


def _is_foreign(known: frozenset[str], text: str) -> bool:
    """Whether a third of the word is made of other characters."""
    return 3 * sum(1 for character in text if character not in known) >= len(text)


def _folded(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split())


def _folded_text(word: Word) -> str:
    return _folded(word.text)


def _without_unknown(text: str, seen: str) -> str | None:
    """What was seen in its place that is like the text but for the unknown characters: as many as
    those, with other words' characters around them, or nothing else but a few more; else None."""
    known = [re.escape(part) for part in _UNKNOWN.split(text)]
    counts = [len(unknown) for unknown in _UNKNOWN.findall(text)]
    found = None
    if any(known):
        found = re.search(_filled(known, [f"[^\ufffd]{{{count}}}" for count in counts]), seen)
    if found is None:
        most = [f"[^\ufffd]{{{count},{_LONGEST_UNKNOWN * count}}}" for count in counts]
        found = re.fullmatch(_filled(known, most), seen)
    return None if found is None else found.group()


def _filled(parts: Sequence[str], between: Sequence[str]) -> str:
    return parts[0] + "".join(gap + part for gap, part in zip(between, parts[1:], strict=True))


@cache
def _as_mac_roman(character: str) -> str:
    """The sign that the character's Latin-1 code means in Mac Roman, where that is a sign of
    printing (a quotation mark, a dash, a bullet) and no letter; else nothing."""
    if not "\xa0" <= character <= "\xff":
        return ""
    meant = character.encode("latin-1").decode("mac-roman")
    return "" if meant.isalpha() else meant

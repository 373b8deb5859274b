"""A page's words as a reader sees them, and the text that is there but not seen."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from activities.read.geometry import Box, shares_row
from activities.read.painted import Unseen
from activities.read.unseen_characters import without_unseen
from activities.read.words import Word
from muniment.contracts.documents import MOST_HIDDEN_TEXTS, HiddenKind, HiddenText

SMALLEST_WORD_POINTS = 1.6
OVERPRINT_POINTS = 1.0
HIDDEN_UNLESS_VISIBLE_SHARE = 0.2
"""Words without paint are hidden when at least this share of the page's words is visible; where
fewer are, they are the layer that a text recogniser laid over a scan, and all there is to read."""
LONGEST_HIDDEN_TEXT = 500

_GLYPHS = {code: unicodedata.normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)} | {
    0x00A0: " ",
}
_ARABIC_FORMS = re.compile("[\ufb50-\ufdff\ufe70-\ufefc]")
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
"""What is left of a glyph that the font gives no character for."""
_SYMBOL_BULLETS = frozenset("§ü")
"""What bullets of symbol fonts are decoded to."""
_PRIVATE_SYMBOLS = range(0xF000, 0xF100)
"""Where fonts of symbols put their glyphs."""
BULLET = "•"


@dataclass(frozen=True, slots=True)
class CleanWords:
    words: list[Word]
    hidden: tuple[HiddenText, ...]


def clean(words: Sequence[Word], width: float, height: float, unseen: Unseen) -> CleanWords:
    """Splits the words of a page of that size by what its painting tells."""
    frame = Box(0.0, 0.0, width, height)
    drop_unpainted = _has_visible_text(words)
    kept: list[Word] = []
    hidden = _Hidden(frame)
    last_of: dict[str, Word] = {}
    for word in words:
        if not word.text.strip() or _is_off_page(word.box, frame):
            continue
        kind = _why_hidden(word, drop_unpainted, unseen.same_colour)
        if kind is not None:
            if any(character.isalnum() for character in word.text):  # not rules made of underscores
                hidden.add(kind, word.text, word.box)
            continue
        before = last_of.get(word.text)
        if before is not None and _is_overprinted(before.box, word.box):
            continue  # bold made by printing twice
        last_of[word.text] = word
        text, message = without_unseen(_as_written(word))
        if message:
            hidden.add(HiddenKind.UNSEEN_CHARACTERS, message, word.box)
        if text == BULLET and kept and kept[-1].text == BULLET and _adjoin(kept[-1].box, word.box):
            continue  # a bullet made of several glyphs
        if text.strip():
            kept.append(word if text == word.text else replace(word, text=text))
    return CleanWords(kept, (*hidden.texts(), *_off_page(unseen.off_page)))


def _off_page(texts: Sequence[str]) -> tuple[HiddenText, ...]:
    text = " ".join(texts)[:LONGEST_HIDDEN_TEXT]
    return (HiddenText(kind=HiddenKind.OFF_PAGE, text=text),) if text else ()


def _has_visible_text(words: Sequence[Word]) -> bool:
    visible = sum(1 for word in words if not word.hidden)
    return visible > 0 and visible >= HIDDEN_UNLESS_VISIBLE_SHARE * len(words)


def _why_hidden(
    word: Word, drop_unpainted: bool, unseen_places: Sequence[Box]
) -> HiddenKind | None:
    box = word.box
    if word.hidden:
        return HiddenKind.INVISIBLE if drop_unpainted else None
    if max(box.width, box.height) < SMALLEST_WORD_POINTS or word.style.size < SMALLEST_WORD_POINTS:
        return HiddenKind.TINY
    across, down = (box.left + box.right) / 2, box.middle
    for place in unseen_places:
        if place.left <= across <= place.right and place.top <= down <= place.bottom:
            return HiddenKind.SAME_COLOUR
    return None


def _is_off_page(box: Box, frame: Box) -> bool:
    return box.right <= 0 or box.bottom <= 0 or box.left >= frame.right or box.top >= frame.bottom


def _is_overprinted(first: Box, second: Box) -> bool:
    return (
        abs(first.left - second.left) < OVERPRINT_POINTS
        and abs(first.top - second.top) < OVERPRINT_POINTS
        and abs(first.right - second.right) < OVERPRINT_POINTS
    )


def _adjoin(first: Box, second: Box) -> bool:
    return shares_row(first, second) and second.left - first.right < first.height


def _as_written(word: Word) -> str:
    """Ligatures as their letters, presentation forms as letters, glyphs of symbols as bullets."""
    text = word.text
    if len(text) == 1 and (
        ord(text) in _PRIVATE_SYMBOLS or (word.style.symbol and text in _SYMBOL_BULLETS)
    ):
        return BULLET
    if text.isascii() and text.isprintable():
        return text
    text = _CONTROLS.sub("", text.translate(_GLYPHS)) or BULLET
    if text.endswith("\u00ad"):
        text = text[:-1] + "-"  # a soft hyphen that is painted: the word goes on in the next line
    return _ARABIC_FORMS.sub(lambda form: unicodedata.normalize("NFKC", form.group()), text)


class _Hidden:
    """Collects hidden words that follow one another to one text for each stretch."""

    def __init__(self, frame: Box) -> None:
        self._frame = frame
        self._texts: list[tuple[HiddenKind, list[str], Box]] = []

    def add(self, kind: HiddenKind, text: str, box: Box) -> None:
        if self._texts and self._texts[-1][0] is kind:
            _, parts, place = self._texts[-1]
            if sum(map(len, parts)) < LONGEST_HIDDEN_TEXT:
                parts.append(text)
            self._texts[-1] = (kind, parts, place.joined(box))
        elif len(self._texts) < MOST_HIDDEN_TEXTS:
            self._texts.append((kind, [text], box))

    def texts(self) -> tuple[HiddenText, ...]:
        return tuple(
            HiddenText(
                kind=kind,
                text=" ".join(parts)[:LONGEST_HIDDEN_TEXT],
                bbox=box.clipped(self._frame.right, self._frame.bottom),
            )
            for kind, parts, box in self._texts
        )

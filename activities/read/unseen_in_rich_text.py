"""What nobody sees of a Rich Text document: text that is hidden, tiny, or white on the bare page.

Rich Text has its formatting where it applies: what a style in the style sheet says is repeated at
every paragraph and run that has the style, and readers go by that (RTF 1.9.1, "Style Sheet").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from striprtf.striprtf import rtf_to_text

from activities.read.cleaning import SMALLEST_WORD_POINTS
from activities.read.painted import SAME_COLOUR

_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})?[ ]?"
    r"|(?P<hex>\\'[0-9a-fA-F]{2})|(?P<symbol>\\[^a-zA-Z])"
    r"|(?P<brace>[{}])|(?P<end>[\r\n]+)|(?P<text>[^\\{}\r\n]+)|(?P<rest>.)",
    re.DOTALL,
)
_COLOUR_TABLE = re.compile(r"\{\\colortbl\b([^{}]*)\}")
_CHANNEL = re.compile(r"\\(red|green|blue)(\d{1,3})\b")
_ANY_CONTROL = re.compile(r"\\'[0-9a-fA-F]{2}|\\[a-zA-Z]+-?\d* ?|\\.|[{}\r\n]")
HALF_POINTS = 2
_USUAL_SIZE = 24
"""In halves of a point, where none is given."""
_WRITTEN = frozenset(
    (
        *("emdash", "endash", "emspace", "enspace", "qmspace", "bullet"),
        *("lquote", "rquote", "ldblquote", "rdblquote", "u"),
    )
)
"""Control words that stand for characters."""
_WRITTEN_SYMBOLS = frozenset((r"\~", r"\{", r"\}", r"\\", r"\-", r"\_"))
_BREAK = r"\par "
_TABLES = frozenset(
    (
        "fonttbl",
        "colortbl",
        "stylesheet",
        "info",
        "pict",
        "listtable",
        "listoverridetable",
        "rsidtbl",
    )
)
"""Groups that hold no text of the document."""


@dataclass(frozen=True, slots=True)
class _Look:
    """How text looks from here to the end of its group, as far as nothing else is said."""

    hidden: bool = False
    size: int = _USUAL_SIZE
    ink: int | None = None
    has_ground: bool = False
    paragraph_has_ground: bool = False
    is_table: bool = False

    def after(self, word: str, number: int | None) -> "_Look":
        if word == "plain":
            return _Look(paragraph_has_ground=self.paragraph_has_ground, is_table=self.is_table)
        if word in _TABLES:
            return replace(self, is_table=True)
        if word in ("v", "webhidden"):
            return replace(self, hidden=number != 0)
        if word == "fs":
            return replace(self, size=_USUAL_SIZE if number is None else number)
        if word == "cf":
            return replace(self, ink=number or 0)
        if word in ("highlight", "cb", "chcbpat"):
            return replace(self, has_ground=bool(number))
        if word == "pard":
            return replace(self, paragraph_has_ground=False)
        if word in ("cbpat", "intbl", "shptxt"):
            return replace(self, paragraph_has_ground=number != 0)
        return self


@dataclass(slots=True)
class _Parted:
    """The document twice: with what is seen, and with what is not."""

    seen: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    has_unseen: bool = False
    is_apart: bool = False

    def both(self, token: str) -> None:
        self.seen.append(token)
        self.unseen.append(token)

    def write(self, token: str, *, is_unseen: bool) -> None:
        if not is_unseen:
            self.seen.append(token)
            self.is_apart = True
            return
        if self.is_apart and self.has_unseen:
            self.unseen.append(_BREAK)
        self.unseen.append(token)
        self.has_unseen, self.is_apart = True, False


def take_out_unseen_rich_text(data: bytes) -> tuple[bytes, list[str]]:
    """The document without what nobody sees, and that: a text for each stretch. The document is
    the same bytes where nothing of the kind is in it."""
    text = data.decode("latin-1")
    white = frozenset[int]() if r"{\*\background" in text else _white_colours(text)
    parted = _Parted()
    for token, look in _tokens(text):
        if look is None:
            parted.both(token)
        else:
            parted.write(token, is_unseen=_is_unseen(look, white))
    if not parted.has_unseen:
        return data, []
    return "".join(parted.seen).encode("latin-1"), _lines("".join(parted.unseen))


def _tokens(text: str) -> Iterator[tuple[str, _Look | None]]:
    """Every token, with how it looks where it stands for a character."""
    look = _Look()
    around: list[_Look] = []
    position = 0
    while (match := _TOKEN.match(text, position)) is not None:
        position = match.end()
        token, kind = match.group(), match.lastgroup
        if kind in ("word", "number"):
            word = match["word"]
            number = int(match["number"]) if match["number"] else None
            if word == "bin":  # so many bytes of a picture, whatever they look like
                position += max(number or 0, 0)
                continue
            look = look.after(word, number)
            yield token, look if word in _WRITTEN and not look.is_table else None
        elif kind == "brace":
            if match["brace"] == "{":
                around.append(look)
            elif around:
                look = around.pop()
            yield token, None
        elif kind in ("hex", "text") or token in _WRITTEN_SYMBOLS:
            yield token, None if look.is_table else look
        else:
            yield token, None


def _is_unseen(look: _Look, white: frozenset[int]) -> bool:
    if look.hidden or look.size < HALF_POINTS * SMALLEST_WORD_POINTS:
        return True
    return look.ink in white and not look.has_ground and not look.paragraph_has_ground


def _white_colours(text: str) -> frozenset[int]:
    """The numbers of the colours that are as white as the page."""
    table = _COLOUR_TABLE.search(text)
    white = set()
    for number, entry in enumerate(table[1].split(";") if table else ()):
        channels = {name: int(value) for name, value in _CHANNEL.findall(entry)}
        if len(channels) == 3 and min(channels.values()) >= 255 - SAME_COLOUR:
            white.add(number)
    return frozenset(white)


def _lines(document: str) -> list[str]:
    try:
        text = rtf_to_text(document, errors="replace")  # type: ignore[no-untyped-call] # it has none
    except (ValueError, TypeError, LookupError):
        text = _ANY_CONTROL.sub(" ", document)
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    lines = (" ".join(line.replace("|", " ").split()) for line in text.splitlines())
    return [line for line in lines if line]

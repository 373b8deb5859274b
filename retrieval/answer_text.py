"""A model's words as they may be shown: without links, images and HTML, its citations told apart.

Works on a stream, across the borders of its pieces: what could still become something else is held back,
everything else goes on at once. A link or a remote image is how an instruction hidden in a document would
carry something out of the house (CommonMark 0.31 says what is one).
"""

import re
from dataclasses import dataclass
from enum import Enum, auto

from retrieval.invisible import without_invisible
from retrieval.language_models.prompting import NO_ANSWER

LINK_REMOVED = "‹link›"
MOST_TARGET_CHARACTERS = 2_000
"""What follows `](` without its end is dropped so far."""

_THINKING, _THOUGHT = "<think>", "</think>"
_ADDRESSES = ("http://", "https://", "ftp://", "ftps://", "file://", "ws://", "wss://", "www.")

_SPECIAL = re.compile(r"[!\[\]<:/\\&]|(?<![A-Za-z0-9])[hfwHFW]")
_MARK = re.compile(r"\[\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3}){0,9})\s*\]")
_MARK_BEGUN = re.compile(r"\[[\s\d,;]{0,60}\Z")
_TAG = re.compile(r"<[A-Za-z/!?][^<>]{0,500}>")
_TAG_BEGUN = re.compile(r"<(?:[A-Za-z/!?][^<>]{0,500})?\Z")
_NO_TAG = re.compile(r"<[\s\d=]")
_ADDRESS = re.compile(r"(?:https?|ftps?|file|wss?):[/\\]*|www\.", re.IGNORECASE)
_SLASHES = re.compile(r":?[/\\]{2,}(?=\S)")
_SLASHES_BEGUN = re.compile(r":?[/\\]*\Z")
_EXCLAMATIONS = re.compile(r"!+")
_REFERENCE = re.compile(r"&(?=#|[A-Za-z][A-Za-z0-9]{1,31};)")
_REFERENCE_BEGUN = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{0,31})?\Z")
_ADDRESS_END = re.compile(r"[\s)\]>\"'<]")


@dataclass(frozen=True)
class Mark:
    """A citation: numbers of passages, as the model wrote them."""

    numbers: tuple[int, ...]


class _State(Enum):
    OPENING = auto()
    THINKING = auto()
    TEXT = auto()
    AFTER_MARK = auto()
    TARGET = auto()
    ADDRESS = auto()
    REFUSED = auto()


class AnswerText:
    """Pieces go in, text and marks come out. `has_refused`: the model said that the passages do not
    answer, and nothing else of it counts."""

    def __init__(self) -> None:
        self._buffer = ""
        self._state = _State.OPENING
        self._last = " "
        self._dropped = 0
        self._is_ended = False

    @property
    def has_refused(self) -> bool:
        return self._state is _State.REFUSED

    def feed(self, piece: str) -> list[str | Mark]:
        self._buffer += without_invisible(piece)
        return self._read()

    def finish(self) -> list[str | Mark]:
        """What was held back."""
        self._is_ended = True
        return self._read()

    def _read(self) -> list[str | Mark]:
        found: list[str | Mark] = []
        while self._step(found):
            pass
        return _joined(found)

    def _step(self, found: list[str | Mark]) -> bool:
        """Takes something from the buffer; False when nothing can be taken before more comes."""
        if self._state is _State.OPENING:
            return self._open()
        if not self._buffer:
            return False
        match self._state:
            case _State.THINKING:
                return self._think()
            case _State.AFTER_MARK:
                self._state = _State.TEXT
                self._after_bracket()
                return True
            case _State.TARGET:
                return self._drop_target()
            case _State.ADDRESS:
                return self._drop_address()
            case _State.REFUSED:
                self._buffer = ""
                return False
            case _:
                return self._text(found)

    def _open(self) -> bool:
        """Before the first word: a refusal, or thoughts that are nobody's business."""
        opening = self._buffer.lstrip()
        if opening.startswith(_THINKING):
            self._buffer, self._state = opening.removeprefix(_THINKING), _State.THINKING
        elif opening.startswith(NO_ANSWER):
            self._state = _State.REFUSED
        elif not self._is_ended and any(
            begun.startswith(opening) for begun in (_THINKING, NO_ANSWER)
        ):
            return False
        else:
            self._buffer, self._state = opening, _State.TEXT
        return True

    def _think(self) -> bool:
        _, found, rest = self._buffer.partition(_THOUGHT)
        if found:
            self._buffer, self._state = rest, _State.OPENING
            return True
        self._buffer = self._buffer[-len(_THOUGHT) :]
        return False

    def _text(self, found: list[str | Mark]) -> bool:
        special = _SPECIAL.search(self._last + self._buffer, 1)
        plain = len(self._buffer) if special is None else special.start() - 1
        if plain:
            self._emit(found, plain)
            return True
        match self._buffer[0]:
            case "[":
                return self._bracket(found)
            case "]":
                return self._close(found)
            case "!":
                return self._exclamation(found)
            case "<":
                return self._tag(found)
            case ":" | "/" | "\\":
                return self._slashes(found)
            case "&":
                return self._ampersand(found)
            case _:
                return self._address(found)

    def _bracket(self, found: list[str | Mark]) -> bool:
        mark = _MARK.match(self._buffer)
        if mark is not None:
            found.append(Mark(tuple(int(each) for each in re.findall(r"\d+", mark[1]))))
            self._buffer, self._last = self._buffer[mark.end() :], "]"
            self._state = _State.AFTER_MARK
            return True
        return self._wait_or(found, _MARK_BEGUN.match(self._buffer) is not None)

    def _close(self, found: list[str | Mark]) -> bool:
        if len(self._buffer) == 1 and not self._is_ended:
            return False
        self._emit(found, 1)
        self._after_bracket()
        return True

    def _after_bracket(self) -> None:
        """`](` begins a target, `]:` a definition, by which all that is written in brackets becomes a link
        or an image: with a gap it is none."""
        if self._buffer.startswith("("):
            self._buffer, self._state, self._dropped = self._buffer[1:], _State.TARGET, 0
        elif self._buffer.startswith(":"):
            self._buffer = f" {self._buffer}"

    def _exclamation(self, found: list[str | Mark]) -> bool:
        """However many stand before a bracket: none of them is left there."""
        exclamations = _EXCLAMATIONS.match(self._buffer)
        length = exclamations.end() if exclamations is not None else 0
        if length == len(self._buffer) and not self._is_ended:
            return False
        if self._buffer.startswith("[", length):
            self._buffer = self._buffer[length:]
        else:
            self._emit(found, length)
        return True

    def _ampersand(self, found: list[str | Mark]) -> bool:
        """A character reference would be read as what it stands for: it is taken apart."""
        if _REFERENCE.match(self._buffer):
            self._buffer = f"& {self._buffer[1:]}"
        return self._wait_or(found, _REFERENCE_BEGUN.match(self._buffer) is not None)

    def _tag(self, found: list[str | Mark]) -> bool:
        tag = _TAG.match(self._buffer)
        if tag is not None:
            # With a gap, so that what stood around it does not become a link.
            gap = "" if self._last.isspace() else " "
            self._buffer = gap + self._buffer[tag.end() :]
            return True
        if _TAG_BEGUN.match(self._buffer) and not self._is_ended:
            return False
        if not _NO_TAG.match(self._buffer):
            # One that is longer than any, or has no end.
            self._buffer = "‹" + self._buffer[1:]
        self._emit(found, 1)
        return True

    def _slashes(self, found: list[str | Mark]) -> bool:
        slashes = _SLASHES.match(self._buffer)
        if slashes is not None:
            self._begin_address(found, slashes.end())
            return True
        return self._wait_or(found, _SLASHES_BEGUN.match(self._buffer) is not None)

    def _address(self, found: list[str | Mark]) -> bool:
        address = _ADDRESS.match(self._buffer)
        if address is not None and not (
            address.end() == len(self._buffer) and address[0].endswith(":") and not self._is_ended
        ):
            if address[0].endswith(":") and not self._buffer[address.end() :][:1].strip():
                # `file: the minutes` is prose; `http:example.org` is an address to browsers.
                self._emit(found, address.end())
            else:
                self._begin_address(found, address.end())
            return True
        begun = self._buffer.lower()
        return self._wait_or(found, any(each.startswith(begun) for each in _ADDRESSES))

    def _begin_address(self, found: list[str | Mark], length: int) -> None:
        found.append(LINK_REMOVED)
        self._buffer, self._last, self._state = self._buffer[length:], "›", _State.ADDRESS

    def _drop_target(self) -> bool:
        left = MOST_TARGET_CHARACTERS - self._dropped
        end = self._buffer.find(")", 0, left)
        if end < 0 and len(self._buffer) < left:
            self._dropped += len(self._buffer)
            self._buffer = ""
            return False
        self._buffer = self._buffer[end + 1 if end >= 0 else left :]
        self._state = _State.AFTER_MARK
        return True

    def _drop_address(self) -> bool:
        end = _ADDRESS_END.search(self._buffer)
        if end is None:
            self._buffer = ""
            return False
        self._buffer, self._state = self._buffer[end.start() :], _State.TEXT
        return True

    def _wait_or(self, found: list[str | Mark], may_become: bool) -> bool:
        """Waits while it may become something else; else the first character is text."""
        if may_become and not self._is_ended:
            return False
        self._emit(found, 1)
        return True

    def _emit(self, found: list[str | Mark], length: int) -> None:
        found.append(self._buffer[:length])
        self._last = self._buffer[length - 1]
        self._buffer = self._buffer[length:]


def _joined(found: list[str | Mark]) -> list[str | Mark]:
    """Text in one piece between marks."""
    joined: list[str | Mark] = []
    for each in found:
        if isinstance(each, str) and joined and isinstance(joined[-1], str):
            joined[-1] += each
        else:
            joined.append(each)
    return joined

"""Names inside an archive that every system can unpack, whatever files are called."""

import re
import unicodedata

from api.files.disposition import safe_character

_LONGEST_BYTES = 240
"""File systems take 255 bytes or 255 characters; the rest is for the number."""
_LONGEST_SUFFIX_BYTES = 32
_NOT_ON_WINDOWS = frozenset('<>:"|?*')
# Devices, with any extension and with spaces before it (Microsoft, "Naming Files, Paths, and Namespaces").
_DEVICES = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|clock\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)
_REPLACEMENT = "_"
_UNSEEN_AT_ENDS = ". "


class ArchiveNames:
    """Gives every file of one archive a name of its own, without folders."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}

    def claim(self, name: str) -> str:
        """The name, made safe; `report (2).pdf` when it is taken, in small letters or large."""
        safe = safe_name(name)
        first = _folded(safe)
        # Counted on from where it stopped: a thousand files of one name are not compared pairwise.
        number = self._numbers.get(first, 1)
        chosen = safe
        while _folded(chosen) in self._taken:
            number += 1
            chosen = _numbered(safe, number)
        self._numbers[first] = number
        self._taken.add(_folded(chosen))
        return chosen


def safe_name(name: str) -> str:
    """One path segment that is valid on Linux, macOS and Windows, and looks like what it is."""
    replaced = "".join(_safe(character) for character in unicodedata.normalize("NFC", name))
    short = _shortened(replaced.strip(_UNSEEN_AT_ENDS)).strip(_UNSEEN_AT_ENDS)
    if _DEVICES.fullmatch(short):
        return _REPLACEMENT + short
    return short or _REPLACEMENT


def _safe(character: str) -> str:
    return _REPLACEMENT if character in _NOT_ON_WINDOWS else safe_character(character)


def _shortened(name: str) -> str:
    """What is cut is the stem, since the suffix opens it."""
    if len(name.encode()) <= _LONGEST_BYTES:
        return name
    stem, suffix = _split(name)
    return _cut(stem, _LONGEST_BYTES - len(suffix.encode())) + suffix


def _split(name: str) -> tuple[str, str]:
    """Stem and suffix, the latter with its dot, or empty."""
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _LONGEST_SUFFIX_BYTES:
        return name, ""
    return stem, dot + suffix


def _cut(text: str, size: int) -> str:
    return text.encode()[:size].decode(errors="ignore")


def _numbered(name: str, number: int) -> str:
    stem, suffix = _split(name)
    return f"{stem} ({number}){suffix}"


def _folded(name: str) -> str:
    """What names have in common that are one on a system that ignores case or composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())

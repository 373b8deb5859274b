"""`Content-Disposition` (RFC 6266) that no file name can break out of."""

import unicodedata
from urllib.parse import quote

_LONGEST = 200
_LONGEST_SUFFIX = 16
_REPLACEMENT = "_"
_RESERVED = frozenset('/\\:*?"<>|%;')


def attachment(name: str) -> str:
    """An attachment under this name: plain ASCII for old clients, and the whole name (RFC 8187).

    Control characters, path separators and what turns the direction of text are replaced.
    """
    safe = (
        _shortened("".join(safe_character(character) for character in name).strip(". "))
        or _REPLACEMENT
    )
    plain = unicodedata.normalize("NFKD", safe).encode("ascii", "ignore").decode().strip(". ")
    plain = "".join(_REPLACEMENT if each in _RESERVED else each for each in plain)
    encoded = quote(safe, safe="!#$&+-.^_`|~")
    return f"attachment; filename=\"{plain or _REPLACEMENT}\"; filename*=UTF-8''{encoded}"


def _shortened(name: str) -> str:
    """At most as long as file systems take; what is cut is the stem, since the suffix opens it."""
    stem, dot, suffix = name.rpartition(".")
    if len(name) <= _LONGEST or not stem or len(suffix) > _LONGEST_SUFFIX:
        return name[:_LONGEST]
    return stem[: _LONGEST - len(suffix) - 1] + dot + suffix


def safe_character(character: str) -> str:
    """The character, unless it separates paths, controls, or turns the direction of text."""
    if character in "/\\" or unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return _REPLACEMENT
    return character

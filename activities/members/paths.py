"""Where a member stands in its container, as a name that cannot lead anywhere else."""

import re
import unicodedata
from pathlib import PurePosixPath

MAXIMUM_PATH_CHARACTERS = 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_JOINERS = "\u200c\u200d"
_CLUTTER = frozenset((".ds_store", "thumbs.db", "desktop.ini"))
_CLUTTER_FOLDER = "__MACOSX"


def clean_path(raw: str) -> str:
    """The path with slashes only and without empty parts. What no database can hold is left out;
    what breaks lines or makes a name read otherwise than it is becomes `_`."""
    readable = raw.encode("utf-8", "replace").decode().replace("\0", "").replace("\\", "/")
    readable = "".join("_" if _deceives(character) else character for character in readable)
    return "/".join(part for part in readable.split("/") if part not in ("", "."))


def _deceives(character: str) -> bool:
    """Control characters, separators of lines, and what turns direction or takes no room. The
    joiners stay: they are part of Persian and Indic spelling, and of emoji."""
    kind = unicodedata.category(character)
    return kind in ("Cc", "Zl", "Zp") or (kind == "Cf" and character not in _JOINERS)


def refusal_of(raw: str) -> str | None:
    """Why no file is made under this path; None when nothing speaks against it.

    Nothing is ever written to a path from an archive; but whoever wrote this one wanted that.
    """
    slashed = raw.replace("\\", "/")
    if slashed.startswith("/") or _DRIVE.match(slashed) or ".." in slashed.split("/"):
        return "its path leads out of the archive"
    if not clean_path(raw).strip():
        return "it has no name"
    if len(raw) > MAXIMUM_PATH_CHARACTERS:
        return "its path is too long"
    return None


def is_clutter(path: str) -> bool:
    """What operating systems leave in archives and nobody means to keep."""
    parts = PurePosixPath(path).parts
    return bool(parts) and (parts[0] == _CLUTTER_FOLDER or parts[-1].lower() in _CLUTTER)

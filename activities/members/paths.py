"""Where a member stands in its container, as a name that cannot lead anywhere else."""

import re
from pathlib import PurePosixPath

MAXIMUM_PATH_CHARACTERS = 1024
_DRIVE = re.compile(r"[A-Za-z]:")
_CLUTTER = frozenset((".ds_store", "thumbs.db", "desktop.ini"))
_CLUTTER_FOLDER = "__MACOSX"


def clean_path(raw: str) -> str:
    """The path with slashes only, without empty parts, and without what no database can hold."""
    readable = raw.encode("utf-8", "replace").decode().replace("\0", "").replace("\\", "/")
    return "/".join(part for part in readable.split("/") if part not in ("", "."))


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

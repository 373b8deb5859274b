"""What lies in a watched folder, and which of it is whole."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_TEMPORARY_ENDINGS = ("~", ".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".swp")
"""What browsers, editors and copying programs call a file that they have not finished."""
_TEMPORARY_BEGINNINGS = (".", "~$", "#")


@dataclass(frozen=True)
class Seen:
    """A file as it lies there. `name` is its path below the folder, with `/`; times in ns."""

    name: str
    size: int
    modified_ns: int
    changed_ns: int

    def is_settled(self, now_ns: int, settle_seconds: float) -> bool:
        """Whether nothing has written to it for so long. The time of the last change counts too: a
        copying program sets the time of modification back when it is done. A time in the future,
        of another machine's clock, counts as long ago."""
        quiet_ns = settle_seconds * 1e9
        ages = (now_ns - self.modified_ns, now_ns - self.changed_ns)
        return all(age < 0 or age >= quiet_ns for age in ages)


def is_temporary(name: str) -> bool:
    """Hidden files, and those that a program is still at work on, by their names."""
    return name.startswith(_TEMPORARY_BEGINNINGS) or name.lower().endswith(_TEMPORARY_ENDINGS)


def files_in(folder: Path) -> list[Seen]:
    """Every regular file below the folder, by name. Links are not followed: they could lead out of
    it. What disappears meanwhile, or may not be read, is passed over until the next look."""
    return sorted(_walk(folder, folder), key=lambda seen: seen.name)


def _walk(root: Path, folder: Path) -> Iterator[Seen]:
    for where, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_temporary(name)]
        for name in names:
            if not is_temporary(name):
                yield from _look_at(root, Path(where, name))


def _look_at(root: Path, path: Path) -> Iterator[Seen]:
    try:
        found = path.lstat()
    except OSError:
        return
    if stat.S_ISREG(found.st_mode):
        name = path.relative_to(root).as_posix()
        yield Seen(name, found.st_size, found.st_mtime_ns, found.st_ctime_ns)

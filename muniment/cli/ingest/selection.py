"""Which files a list of paths, folders and glob patterns means."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from muniment.errors import InvalidRequest


def select_files(paths: Sequence[str]) -> list[Path]:
    """The files, each once, in the order in which they were named; a folder's by name.

    Folders are read recursively, without hidden files and folders and without following links to
    folders. Raises InvalidRequest for a path that does not exist and matches nothing.
    """
    chosen: dict[Path, None] = {}
    for path in paths:
        for file in _meant_by(path):
            chosen.setdefault(file)
    return list(chosen)


def _meant_by(text: str) -> Iterator[Path]:
    path = Path(text).expanduser()
    if path.is_dir():
        yield from _files_below(path)
        return
    if path.exists():
        yield path
        return
    matches = sorted(glob.glob(str(path), recursive=True)) if glob.has_magic(text) else []
    if not matches:
        raise InvalidRequest(
            f"{text}: no such file or folder", remedy="Check the path; quote glob patterns."
        )
    for match in map(Path, matches):
        if match.is_file():
            yield match


def _files_below(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            file = Path(where, name)
            if not name.startswith(".") and file.is_file():
                yield file

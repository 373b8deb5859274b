"""A file system of a few megabytes, to be filled and emptied."""

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

import pytest

PIECE = bytes(4096)


class SmallDisk:
    """`root` is where it is mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / ".filler"

    def fill(self) -> None:
        """Leaves no byte free."""
        with self._filler.open("ab", buffering=0) as filler:
            while _is_taken(filler):
                pass

    def free(self) -> None:
        self._filler.unlink()


def _is_taken(file: RawIOBase) -> bool:
    """Whether a further piece fits; a small one may fit in part."""
    try:
        return bool(file.write(PIECE))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return False
        raise


@contextmanager
def small_disk(root: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mounts one, which needs root's rights; unmounted on leaving."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    root.mkdir(mode=0o700, parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(root)],
        check=True,
    )
    try:
        yield SmallDisk(root)
    finally:
        subprocess.run(["umount", "--lazy", str(root)], check=True)

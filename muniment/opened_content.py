"""Where opened content lies while parsers read it, and how large it may be there."""

import shutil
from pathlib import Path

MEMORY_ROOT = Path("/dev/shm")  # noqa: S108 - the memory-backed file system of Linux
LEFT_TO_OTHERS = 4
"""A quarter of the memory-backed space: PostgreSQL's parallel queries and Ray take theirs from it."""


def largest_in_memory(memory: Path = MEMORY_ROOT) -> int:
    """Bytes of the largest file that can be opened there while there is no other."""
    return shutil.disk_usage(memory).total - left_to_others(memory)


def left_to_others(memory: Path) -> int:
    return shutil.disk_usage(memory).total // LEFT_TO_OTHERS

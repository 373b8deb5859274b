"""What one engine call may use before it is ended."""

from dataclasses import dataclass

MEBIBYTE = 1024 * 1024
NICENESS = 10
"""By how much engines stand back: where others want the core too, theirs is a tenth (nice(2))."""
SESSION_NICENESS = 10
"""The same of the session that a sandbox's engines are together, where Linux shares the cores among sessions
first. Beside two others that take a core each, what took 12 s took 67 s; with 5 it took 45 s."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one call; the defaults suit a document of ordinary size.

    `memory_bytes` is address space on top of what the template process already holds (measured: a
    docling-parse page needs 60 MB, a RapidOCR page up to 500 MB). `cpu_seconds` bounds computing,
    `wall_seconds` the whole call from the fork on; waiting for a free slot does not count.
    """

    wall_seconds: float = 120.0
    cpu_seconds: int = 120
    memory_bytes: int = 2048 * MEBIBYTE
    output_bytes: int = 256 * MEBIBYTE
    open_files: int = 128
    written_bytes: int = 0

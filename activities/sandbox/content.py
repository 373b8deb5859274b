"""A document's bytes inside a child process, behind one descriptor."""

import mmap
import os
from functools import cached_property
from typing import BinaryIO


class Content:
    """Read-only content. Every way of reading it is independent of the others' positions."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size_bytes = os.fstat(descriptor).st_size

    def head(self, length: int) -> bytes:
        """The first `length` bytes, or all of a shorter content."""
        return os.pread(self._descriptor, length, 0)

    def tail(self, length: int) -> bytes:
        """The last `length` bytes, or all of a shorter content."""
        return os.pread(self._descriptor, length, max(0, self.size_bytes - length))

    def read(self) -> bytes:
        """All bytes, as a copy."""
        return bytes(self.view) if self.size_bytes else b""

    @cached_property
    def view(self) -> memoryview:
        """All bytes without a copy; the content must not be empty."""
        return memoryview(mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ))

    def open(self) -> BinaryIO:
        """A file object of its own at position 0."""
        return open(self.path, "rb")

    @property
    def path(self) -> str:
        """A path that opens the content anew, for libraries that take nothing else."""
        return f"/dev/fd/{self._descriptor}"

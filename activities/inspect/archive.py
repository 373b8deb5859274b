"""Opens zip packages (office formats) only when they cannot swell beyond bounds.

Python's zipfile never yields more of a member than its header declares, so bounding what is
declared bounds what can be read.
"""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import BinaryIO

from muniment.errors import DamagedDocument, EncryptedDocument, LimitExceeded

MAXIMUM_ENTRIES = 10_000
MAXIMUM_TOTAL_BYTES = 2 * 1024**3
MAXIMUM_RATIO = 100
RATIO_COUNTS_ABOVE_BYTES = 10 * 1024**2
ENCRYPTED_FLAG = 0x1
_LOCAL_HEADER_BYTES = 30
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)
"""What zipfile raises over a package or an entry that is cut short, damaged or packed otherwise."""


@contextmanager
def open_package(file: BinaryIO, *, may_be_encrypted: bool = False) -> Iterator[zipfile.ZipFile]:
    """The package, checked; DamagedDocument, EncryptedDocument or LimitExceeded otherwise."""
    try:
        package = zipfile.ZipFile(file)
    except UNREADABLE as error:
        raise DamagedDocument("The package is cut short or damaged.") from error
    with package:
        _check(package.infolist(), may_be_encrypted=may_be_encrypted)
        yield package


def _check(entries: list[zipfile.ZipInfo], *, may_be_encrypted: bool) -> None:
    if len(entries) > MAXIMUM_ENTRIES:
        raise LimitExceeded(f"The package has more than {MAXIMUM_ENTRIES:,} entries.")
    if sum(entry.file_size for entry in entries) > MAXIMUM_TOTAL_BYTES:
        raise LimitExceeded("The package unpacks to more than 2 GiB.")
    if not may_be_encrypted and any(entry.flag_bits & ENCRYPTED_FLAG for entry in entries):
        raise EncryptedDocument("Entries of the package are encrypted.")
    for entry in entries:
        if (
            entry.file_size > RATIO_COUNTS_ABOVE_BYTES
            and entry.file_size > MAXIMUM_RATIO * entry.compress_size
        ):
            raise LimitExceeded(
                f"An entry of the package unpacks to {MAXIMUM_RATIO} times its size."
            )
    _check_overlap(entries)


def _check_overlap(entries: list[zipfile.ZipInfo]) -> None:
    """Entries that share bytes let a small file declare any size (zip bomb of the Fifield kind)."""
    in_order = sorted(entries, key=lambda entry: entry.header_offset)
    for entry, following in pairwise(in_order):
        end = entry.header_offset + _LOCAL_HEADER_BYTES + entry.compress_size
        if end > following.header_offset:
            raise LimitExceeded("Entries of the package overlap, as those of a zip bomb do.")

"""The entries of postings as arrays: a number, a frequency and a length for each passage."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from db.queries.postings import ENTRY

Numbers = npt.NDArray[np.int64]
Frequencies = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Of several terms that count as one they may be fractions."""
Columns = tuple[Numbers, Frequencies, npt.NDArray[np.uint16]]


def joined(blocks: Sequence[tuple[int, bytes]]) -> Columns:
    """Of the rows of one term, each with its first number, in the order of the numbers."""
    entries = np.frombuffer(b"".join(each for _, each in blocks), ENTRY)
    sizes = [len(each) // ENTRY.itemsize for _, each in blocks]
    numbers = np.repeat(np.array([first for first, _ in blocks], np.int64), sizes)
    numbers += entries["offset"]
    borders = np.cumsum(sizes)[:-1]
    if (numbers[borders] < numbers[borders - 1]).any():
        # What was reserved first was published last.
        order = np.argsort(numbers)
        numbers, entries = numbers[order], entries[order]
    return numbers, entries["frequency"].copy(), entries["length"].astype(np.uint16)


def in_order(parts: list[Columns]) -> Columns:
    """Of parts of one term from the newest on, which it reverses."""
    parts.reverse()
    numbers, frequencies, lengths = (np.concatenate(each) for each in zip(*parts, strict=True))
    if (numbers[1:] < numbers[:-1]).any():
        order = np.argsort(numbers)
        return numbers[order], frequencies[order], lengths[order]
    return numbers, frequencies, lengths


def union(columns: Sequence[Columns]) -> Columns:
    """Of several terms: each passage once, with how often any of them stands in it."""
    numbers = np.concatenate([each[0] for each in columns])
    frequencies = np.concatenate([each[1].astype(np.float32) for each in columns])
    lengths = np.concatenate([each[2] for each in columns])
    order = np.argsort(numbers, kind="stable")
    numbers = numbers[order]
    starts = np.flatnonzero(np.diff(numbers, prepend=-1))
    return numbers[starts], np.add.reduceat(frequencies[order], starts), lengths[order][starts]


def evenly(columns: Columns, frequency: float) -> Columns:
    """The same passages, as if the term stood that often in each of them."""
    numbers, _, lengths = columns
    return numbers, np.full(len(numbers), frequency, np.float32), lengths


def common(columns: Sequence[Columns]) -> Columns:
    """Of several terms: the passages in which all of them stand, as often as the rarest of them there."""
    numbers, frequencies, lengths = columns[0]
    for others, of_others, _ in columns[1:]:
        numbers, places, places_there = np.intersect1d(
            numbers, others, assume_unique=True, return_indices=True
        )
        frequencies = np.minimum(frequencies[places], of_others[places_there])
        lengths = lengths[places]
    return numbers, frequencies, lengths

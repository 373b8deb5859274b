"""Where two sequences agree, and where they do not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Indel


@dataclass(frozen=True)
class Run:
    """Stretches of both, ends excluded: equal ones, or what stands in place of the other."""

    is_equal: bool
    former_start: int
    former_end: int
    present_start: int
    present_end: int


def runs(former: Sequence[str], present: Sequence[str]) -> Iterator[Run]:
    """By turns equal and different, over both sequences whole; as much as can be is equal.

    Takes time and memory with the product of the lengths: 36 ms and 25 MB for twice 10,000.
    """
    former_start = present_start = 0
    for found in Indel.opcodes(former, present):
        if found.tag != "equal":
            continue
        if (found.src_start, found.dest_start) != (former_start, present_start):
            yield Run(False, former_start, found.src_start, present_start, found.dest_start)
        yield Run(True, found.src_start, found.src_end, found.dest_start, found.dest_end)
        former_start, present_start = found.src_end, found.dest_end
    if (former_start, present_start) != (len(former), len(present)):
        yield Run(False, former_start, len(former), present_start, len(present))

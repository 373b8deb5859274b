"""The Merkle tree of RFC 6962 (section 2.1), over SHA-256.

    leaf    SHA-256(0x00 ‖ data)
    node    SHA-256(0x01 ‖ left ‖ right)

A tree over n leaves splits at the largest power of two below n, so that what is added never changes a
complete subtree: those are all that has to be kept (`Subtree`). Proofs are described as ranges of leaves,
whose hashes whoever keeps the tree looks up (`db/queries/audit_tree.py`), and are verified here from
hashes alone (RFC 9162, 2.1.3.2 and 2.1.4.2).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

Range = tuple[int, int]
"""Leaves from the first number up to the second, which is not among them."""


@dataclass(frozen=True, order=True)
class Subtree:
    """A complete subtree: the leaves from `index << level` on, 2 ** `level` of them."""

    level: int
    index: int

    @property
    def start(self) -> int:
        return self.index << self.level

    @property
    def end(self) -> int:
        return (self.index + 1) << self.level


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: the roots of its complete subtrees, the largest first. `completed`
    is told every subtree above the leaves that becomes complete."""

    def __init__(
        self,
        size: int = 0,
        edge: Sequence[bytes] = (),
        completed: Callable[[Subtree, bytes], None] | None = None,
    ) -> None:
        """ValueError where the edge is none of a tree of that size."""
        if len(edge) != size.bit_count():
            raise ValueError("a tree's edge has a hash for each complete subtree")
        self._size = size
        self._edge = list(edge)
        self._completed = completed

    @property
    def size(self) -> int:
        return self._size

    def append(self, leaf: bytes) -> None:
        """Adds a leaf by its hash."""
        edge, count, level = self._edge, self._size, 0
        self._size = count + 1
        while count & 1:
            leaf = node_hash(edge.pop(), leaf)
            count >>= 1
            level += 1
            if self._completed is not None:
                self._completed(Subtree(level, count), leaf)
        edge.append(leaf)

    def root(self) -> bytes:
        if not self._edge:
            return EMPTY_ROOT
        return joined(self._edge)


def joined(parts: Sequence[bytes]) -> bytes:
    """The hash over neighbouring subtrees, each larger than the one after it; at least one."""
    result = parts[-1]
    for part in reversed(parts[:-1]):
        result = node_hash(part, result)
    return result


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root of the tree over these leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def complete_subtrees(leaves: Range) -> list[Subtree]:
    """Those that make up the range, from the left; the range is one that a proof names, or starts at 0."""
    found: list[Subtree] = []
    start, end = leaves
    while start < end:
        level = (end - start).bit_length() - 1
        found.append(Subtree(level, start >> level))
        start += 1 << level
    return found


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Whose hashes prove that the leaf stands in the tree of that size, from the leaf upwards (RFC 6962,
    2.1.1). ValueError where it does not."""
    if not 0 <= index < size:
        raise ValueError("the leaf is not in a tree of this size")
    start, end = 0, size
    found: list[Range] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(old_size: int, size: int) -> list[Range]:
    """Whose hashes prove that the tree of the old size is the beginning of the other (RFC 6962, 2.1.2).
    ValueError for an old size of 0, which is the beginning of any, or one above the other."""
    if not 0 < old_size <= size:
        raise ValueError("the former tree has leaves, and no more than this one")
    start, end = 0, size
    found: list[Range] = []
    while end != old_size:
        middle = start + _split(end - start)
        if old_size <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    if start:
        found.append((start, end))
    return found[::-1]


def includes(root: bytes, size: int, index: int, leaf: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the proof shows that the leaf hash is that of the leaf in the tree of this root."""
    if not 0 <= index < size:
        return False
    place, last, result = index, size - 1, leaf
    for part in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            result = node_hash(part, result)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            result = node_hash(result, part)
        place, last = place >> 1, last >> 1
    return last == 0 and result == root


def is_consistent(
    old_root: bytes, old_size: int, root: bytes, size: int, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that the tree of the old root is the beginning of the other."""
    if old_size == size:
        return not proof and old_root == root
    if not 0 < old_size < size:
        return old_size == 0 and not proof and old_root == EMPTY_ROOT
    # An old tree that is complete is itself the first hash of the proof.
    parts = list(proof) if old_size & (old_size - 1) else [old_root, *proof]
    if not parts:
        return False
    place, last = old_size - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old_result = result = parts[0]
    for part in parts[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old_result, result = node_hash(part, old_result), node_hash(part, result)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            result = node_hash(result, part)
        place, last = place >> 1, last >> 1
    return last == 0 and old_result == old_root and result == root


def _split(count: int) -> int:
    """The largest power of two below the count, which is two at least."""
    return 1 << ((count - 1).bit_length() - 1)

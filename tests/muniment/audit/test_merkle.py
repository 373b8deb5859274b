"""Trees, proofs and notes as another implementation makes them: Go's golang.org/x/mod/sumdb (tlog and note),
whose vectors tlog_vectors.go wrote. The leaves of the tree are `leaf 0`, `leaf 1`, …"""

import json
from pathlib import Path
from typing import TypedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.audit import merkle
from muniment.audit.checkpoints import VerifierKey, opened
from muniment.audit.merkle import Frontier, Range, Subtree, complete_subtrees


class Vectors(TypedDict):
    roots: list[str]
    inclusion: dict[str, list[str]]
    consistency: dict[str, list[str]]
    verifier_key: str
    note: str


VECTORS: Vectors = json.loads(Path(__file__).with_name("tlog_vectors.json").read_text())
LEAVES = [merkle.leaf_hash(f"leaf {index}".encode()) for index in range(20)]


def over(leaves: Range) -> bytes:
    """As a database makes it: out of complete subtrees."""
    parts = [merkle.root_of(LEAVES[each.start : each.end]) for each in complete_subtrees(leaves)]
    return merkle.joined(parts)


def test_roots_are_those_of_another_implementation() -> None:
    assert merkle.root_of([]) == merkle.EMPTY_ROOT
    for size, root in enumerate(VECTORS["roots"], 1):
        assert merkle.root_of(LEAVES[:size]).hex() == root


@pytest.mark.parametrize("place", VECTORS["inclusion"])
def test_inclusion_is_proven_as_another_implementation_does(place: str) -> None:
    index, size = map(int, place.split("/"))
    proof = [over(each) for each in merkle.inclusion_ranges(index, size)]
    assert [each.hex() for each in proof] == VECTORS["inclusion"][place]
    root = merkle.root_of(LEAVES[:size])
    assert merkle.includes(root, size, index, LEAVES[index], proof)
    assert not merkle.includes(root, size, index, LEAVES[index - 1] + b"x", proof)
    assert not merkle.includes(root, size, index, LEAVES[index], [*proof, root])
    assert not merkle.includes(root, size, size, LEAVES[index], proof)
    if proof:
        assert not merkle.includes(root, size, index, LEAVES[index], proof[:-1])


@pytest.mark.parametrize("sizes", VECTORS["consistency"])
def test_consistency_is_proven_as_another_implementation_does(sizes: str) -> None:
    old_size, size = map(int, sizes.split("/"))
    proof = [over(each) for each in merkle.consistency_ranges(old_size, size)]
    assert [each.hex() for each in proof] == VECTORS["consistency"][sizes]
    old, new = merkle.root_of(LEAVES[:old_size]), merkle.root_of(LEAVES[:size])
    assert merkle.is_consistent(old, old_size, new, size, proof)
    assert not merkle.is_consistent(LEAVES[0] + b"x", old_size, new, size, proof)
    assert not merkle.is_consistent(old, old_size, LEAVES[0] + b"x", size, proof)
    assert not merkle.is_consistent(old, old_size, new, size, [*proof, old])


def test_a_note_that_another_implementation_signed_is_opened() -> None:
    checkpoint = opened(VECTORS["note"], [VerifierKey.parsed(VECTORS["verifier_key"])])
    assert checkpoint.size == 20
    assert checkpoint.root == merkle.root_of(LEAVES)


@given(st.integers(0, 20), st.integers(0, 20))
def test_a_frontier_goes_on_where_it_was(size: int, more: int) -> None:
    told: dict[Subtree, bytes] = {}
    parts = [merkle.root_of(LEAVES[each.start : each.end]) for each in complete_subtrees((0, size))]
    frontier = Frontier(size, parts, told.__setitem__)
    for leaf in LEAVES[size : size + more]:
        frontier.append(leaf)
    assert frontier.root() == merkle.root_of(LEAVES[: size + more])
    for subtree, root in told.items():
        assert root == merkle.root_of(LEAVES[subtree.start : subtree.end])


@pytest.mark.parametrize(("index", "size"), [(1, 1), (-1, 4), (0, 0)])
def test_what_is_not_in_the_tree_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in a tree"):
        merkle.inclusion_ranges(index, size)

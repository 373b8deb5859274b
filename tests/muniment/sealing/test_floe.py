"""Properties of FLOE as we use it: random access, and no change goes unnoticed."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.errors import SealBroken
from muniment.sealing.floe import HEADER_BYTES, PRODUCTION, FloeParameters, Opener, Sealer

KEY = bytes(range(32))
ASSOCIATED_DATA = b"muniment/v1|tenant|blob"
SMALL = FloeParameters(segment_bytes=32 + 16, rotation_bits=2)
"""Segments of 16 bytes and a new key every four of them, so that short plaintexts cross borders."""

plaintexts = st.binary(max_size=300)


def seal(plaintext: bytes, cuts: list[int] | None = None) -> bytes:
    """The sealed plaintext, fed to the sealer in the pieces that the cuts make."""
    borders = [0, *sorted(cut % (len(plaintext) + 1) for cut in cuts or []), len(plaintext)]
    sealer = Sealer(KEY, ASSOCIATED_DATA, SMALL)
    pieces = [sealer.seal(plaintext[start:end]) for start, end in pairwise(borders)]
    return sealer.header + b"".join(pieces) + sealer.finish()


def open_whole(sealed: bytes, size: int, key: bytes = KEY, data: bytes = ASSOCIATED_DATA) -> bytes:
    """Opens as a reader does who knows the size from elsewhere."""
    if len(sealed) != SMALL.sealed_size(size):
        raise SealBroken("the length disagrees")
    opener = Opener(key, data, sealed[:HEADER_BYTES], SMALL)
    last = SMALL.segment_count(size) - 1
    return bytes(opener.open_segments(sealed[HEADER_BYTES:], 0, last, bytearray(size)))


@given(plaintexts, st.lists(st.integers(0, 300), max_size=6))
def test_what_was_sealed_in_any_pieces_opens_to_the_same(plaintext: bytes, cuts: list[int]) -> None:
    sealed = seal(plaintext, cuts)
    assert len(sealed) == SMALL.sealed_size(len(plaintext))
    assert SMALL.plaintext_size(len(sealed)) == len(plaintext)
    assert open_whole(sealed, len(plaintext)) == plaintext


@given(st.binary(min_size=1, max_size=300), st.data())
def test_any_segment_opens_by_itself(plaintext: bytes, data: st.DataObject) -> None:
    sealed = seal(plaintext)
    last = SMALL.segment_count(len(plaintext)) - 1
    position = data.draw(st.integers(0, last))
    start = SMALL.segment_offset(position)
    opener = Opener(KEY, ASSOCIATED_DATA, sealed[:HEADER_BYTES], SMALL)
    segment = sealed[start : start + SMALL.segment_bytes]
    opened = opener.open_segment(segment, position, is_last=position == last)
    assert opened == plaintext[position * 16 : (position + 1) * 16]


@given(plaintexts, st.data())
def test_every_flipped_bit_is_noticed(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal(plaintext))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(SealBroken):
        open_whole(bytes(sealed), len(plaintext))


@given(plaintexts, st.data())
def test_every_truncation_is_noticed_even_by_a_reader_who_believes_the_length(
    plaintext: bytes, data: st.DataObject
) -> None:
    sealed = seal(plaintext)
    cut = sealed[: data.draw(st.integers(0, len(sealed) - 1))]
    with pytest.raises(SealBroken):
        open_whole(cut, SMALL.plaintext_size(len(cut)))


@given(st.binary(min_size=64, max_size=300), st.data())
def test_swapped_segments_are_noticed(plaintext: bytes, data: st.DataObject) -> None:
    sealed = seal(plaintext)
    whole_segments = len(plaintext) // 16 - 1
    first, second = data.draw(
        st.lists(st.integers(0, whole_segments - 1), min_size=2, max_size=2, unique=True)
    )
    a, b = SMALL.segment_offset(first), SMALL.segment_offset(second)
    length = SMALL.segment_bytes
    swapped = bytearray(sealed)
    swapped[a : a + length], swapped[b : b + length] = (
        sealed[b : b + length],
        sealed[a : a + length],
    )
    with pytest.raises(SealBroken):
        open_whole(bytes(swapped), len(plaintext))


def test_a_segment_of_another_object_under_the_same_key_is_noticed() -> None:
    one, other = seal(b"a" * 40), seal(b"b" * 40)
    start = SMALL.segment_offset(1)
    mixed = one[:start] + other[start:]
    with pytest.raises(SealBroken):
        open_whole(mixed, 40)


@pytest.mark.parametrize(
    ("key", "associated_data"),
    [(bytes(32), ASSOCIATED_DATA), (KEY, b"muniment/v1|other|blob")],
    ids=["key", "associated-data"],
)
def test_another_key_or_associated_data_does_not_open(key: bytes, associated_data: bytes) -> None:
    with pytest.raises(SealBroken):
        open_whole(seal(b"content"), 7, key, associated_data)


def test_sealing_the_same_twice_shows_nothing_in_common() -> None:
    one, other = seal(b"x" * 64), seal(b"x" * 64)
    assert one[10:] != other[10:]
    assert one[HEADER_BYTES:] != other[HEADER_BYTES:]


def test_a_finished_sealer_seals_no_more() -> None:
    sealer = Sealer(KEY, ASSOCIATED_DATA)
    sealer.finish()
    with pytest.raises(ValueError, match="last segment"):
        sealer.seal(b"more")
    with pytest.raises(ValueError, match="last segment"):
        sealer.finish()


@pytest.mark.parametrize(
    ("size", "segments", "sealed_size"),
    [(0, 1, 106), (1, 1, 107), (65_536, 1, 65_642), (65_537, 2, 65_675), (131_072, 2, 131_210)],
)
def test_the_production_layout_is_the_documented_one(
    size: int, segments: int, sealed_size: int
) -> None:
    assert PRODUCTION.segment_bytes == 65_568
    assert PRODUCTION.segment_count(size) == segments
    assert PRODUCTION.sealed_size(size) == sealed_size
    assert PRODUCTION.segment_offset(3) == 74 + 3 * 65_568


@pytest.mark.parametrize("length", [0, 74, 105, 74 + 65_568 + 31, 74 + 65_568 + 32])
def test_lengths_that_no_sealing_yields_are_refused(length: int) -> None:
    with pytest.raises(SealBroken):
        PRODUCTION.plaintext_size(length)

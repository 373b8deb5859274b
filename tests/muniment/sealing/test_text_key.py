"""Texts sealed one by one: each opens at its place, under its key, as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.errors import SealBroken
from muniment.sealing import TextKey

PLACE = b"muniment/v1|tenant|chunk|version|0"


@pytest.fixture
def key() -> TextKey:
    return TextKey(TextKey.generate())


@given(content=st.binary(max_size=2000))
def test_what_was_sealed_is_opened(content: bytes) -> None:
    key = TextKey(TextKey.generate())
    assert key.open(key.seal(content, PLACE), PLACE) == content


def test_the_same_text_is_sealed_otherwise_every_time(key: TextKey) -> None:
    assert key.seal(b"the lease", PLACE) != key.seal(b"the lease", PLACE)


def test_a_text_opens_nowhere_else(key: TextKey) -> None:
    sealed = key.seal(b"the lease", PLACE)
    with pytest.raises(SealBroken):
        key.open(sealed, PLACE.replace(b"|0", b"|1"))


def test_another_key_opens_nothing(key: TextKey) -> None:
    with pytest.raises(SealBroken):
        TextKey(TextKey.generate()).open(key.seal(b"the lease", PLACE), PLACE)


@given(place=st.integers(min_value=0, max_value=36), bit=st.integers(min_value=0, max_value=7))
def test_every_changed_bit_is_noticed(place: int, bit: int) -> None:
    key = TextKey(TextKey.generate())
    changed = bytearray(key.seal(b"the lease", PLACE))
    changed[place] ^= 1 << bit
    with pytest.raises(SealBroken):
        key.open(bytes(changed), PLACE)


@pytest.mark.parametrize("length", [0, 5, 12, 27])
def test_what_is_cut_short_is_noticed(key: TextKey, length: int) -> None:
    with pytest.raises(SealBroken):
        key.open(key.seal(b"the lease", PLACE)[:length], PLACE)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(SealBroken):
        TextKey(b"short")

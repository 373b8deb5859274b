"""The boxes of words, packed into a line's string."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.contracts.documents import Line
from muniment.contracts.word_boxes import BoundingBox, pack_boxes, packed_length, unpack_boxes

FRAME = (72.0, 100.5, 540.25, 112.0)
SHARE = st.floats(0, 1)


def box_of(shares: tuple[float, float, float, float]) -> BoundingBox:
    across, down = sorted(shares[:2]), sorted(shares[2:])
    x0, y0, x1, y1 = FRAME
    return (
        x0 + across[0] * (x1 - x0),
        y0 + down[0] * (y1 - y0),
        x0 + across[1] * (x1 - x0),
        y0 + down[1] * (y1 - y0),
    )


@given(st.lists(st.tuples(SHARE, SHARE, SHARE, SHARE).map(box_of), max_size=30))
def test_boxes_come_back_to_a_fiftieth_of_a_point(boxes: list[BoundingBox]) -> None:
    packed = pack_boxes(boxes, FRAME)
    assert len(packed) == packed_length(len(boxes))
    for box, back in zip(boxes, unpack_boxes(packed, FRAME), strict=True):
        assert back == pytest.approx(box, abs=0.02)


def test_a_line_without_packed_boxes_has_no_words() -> None:
    assert Line(text="a deed", bbox=FRAME).words() == ()
    one = pack_boxes([FRAME], FRAME)
    assert Line(text="a deed", bbox=FRAME, word_boxes=one).words() == ()
    assert [word.text for word in Line(text="deed", bbox=FRAME, word_boxes=one).words()] == ["deed"]


def test_what_was_not_packed_is_refused() -> None:
    with pytest.raises(ValueError, match="no packed word boxes"):
        list(unpack_boxes("nonsense!", FRAME))

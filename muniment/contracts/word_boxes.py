"""The boxes of a line's words, packed in a string: 11 characters a word instead of 40 and more.

The format is told in `muniment.contracts.documents.Line`.
"""

import base64
import binascii
import struct
from collections.abc import Iterator, Sequence

BoundingBox = tuple[float, float, float, float]
"""x0, y0, x1, y1 with x0 ≤ x1 and y0 ≤ y1."""

_SCALE = 65_535
_BOX = struct.Struct("<4H")


def packed_length(word_count: int) -> int:
    """Length of the string that holds so many boxes."""
    return 4 * ((word_count * _BOX.size + 2) // 3)


def pack_boxes(boxes: Sequence[BoundingBox], frame: BoundingBox) -> str:
    """Boxes as shares of `frame`, the line's box; what sticks out of it is cut off."""
    left, top, right, bottom = frame
    across = _SCALE / (right - left) if right > left else 0.0
    down = _SCALE / (bottom - top) if bottom > top else 0.0
    packed = bytearray()
    for x0, y0, x1, y1 in boxes:
        packed += _BOX.pack(
            _share((x0 - left) * across),
            _share((y0 - top) * down),
            _share((x1 - left) * across),
            _share((y1 - top) * down),
        )
    return base64.b64encode(packed).decode("ascii")


def unpack_boxes(packed: str, frame: BoundingBox) -> Iterator[BoundingBox]:
    """The boxes that `pack_boxes` packed, to a hundredth of a point; ValueError for what it did
    not make."""
    try:
        content = base64.b64decode(packed, validate=True)
        shares = list(_BOX.iter_unpack(content))
    except (binascii.Error, struct.error) as error:
        raise ValueError("These are no packed word boxes.") from error
    left, top, right, bottom = frame
    across, down = (right - left) / _SCALE, (bottom - top) / _SCALE
    for x0, y0, x1, y1 in shares:
        yield (
            round(left + x0 * across, 2),
            round(top + y0 * down, 2),
            round(left + x1 * across, 2),
            round(top + y1 * down, 2),
        )


def _share(value: float) -> int:
    return min(max(round(value), 0), _SCALE)

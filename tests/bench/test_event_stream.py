"""What counts as a lost event."""

import pytest

from bench.event_stream import Viewer


@pytest.mark.parametrize(
    ("seen", "lost"),
    [([], 0), ([4], 0), ([4, 5, 6], 0), ([4, 6, 7], 1), ([4, 5, 5, 6], 1), ([1, 4, 2], 2)],
)
def test_every_id_comes_once_and_in_order(seen: list[int], lost: int) -> None:
    assert Viewer("a-job", seen).lost == lost

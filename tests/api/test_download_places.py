"""Places for downloads by links: nobody has all of them."""

from ipaddress import ip_address

import pytest

from api.shared_files.places import DownloadPlaces
from muniment.errors import TooManyRequests


@pytest.mark.parametrize(
    ("limit", "of_one", "most"),
    [(64, None, 16), (8, None, 2), (3, None, 1), (1, None, 1), (16, 16, 15), (8, 64, 7), (1, 9, 1)],
)
def test_one_address_has_a_part_of_them(limit: int, of_one: int | None, most: int) -> None:
    places = DownloadPlaces(limit, of_one)
    greedy, other = ip_address("192.0.2.1"), ip_address("192.0.2.2")
    for _ in range(most):
        places.acquire(greedy)
    with pytest.raises(TooManyRequests):
        places.acquire(greedy)
    if limit > 1:
        places.acquire(other)

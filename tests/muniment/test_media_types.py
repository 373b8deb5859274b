"""What names claim."""

import pytest

from muniment.contracts.media_types import claimed_media_type


@pytest.mark.parametrize(
    ("name", "claimed"),
    [
        ("letter.txt", "text/plain"),
        ("letter.txt.gz", None),
        ("papers.tar.gz", None),
        ("papers.tar", "application/x-tar"),
        ("picture.svgz", None),
        ("nothing", None),
    ],
)
def test_a_packed_file_is_not_claimed_to_be_what_is_in_it(name: str, claimed: str | None) -> None:
    assert claimed_media_type(name) == claimed

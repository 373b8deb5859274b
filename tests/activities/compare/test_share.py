"""Which versions are read in shadow: always the same ones, and as many as the share says."""

from uuid import UUID

import pytest

from activities.compare.intent import is_in_share
from db.models import new_id

IDS = [new_id() for _ in range(20_000)]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.5, 1.0])
def test_the_share_is_kept(share: float) -> None:
    chosen = sum(is_in_share(version_id, share) for version_id in IDS)
    assert abs(chosen / len(IDS) - share) <= 0.015
    assert share not in (0.0, 1.0) or chosen == share * len(IDS)


def test_a_larger_share_has_those_of_a_smaller_one() -> None:
    smaller = {each for each in IDS if is_in_share(each, 0.1)}
    assert smaller <= {each for each in IDS if is_in_share(each, 0.2)}


def test_the_choice_does_not_change_with_the_process_or_the_release() -> None:
    version_id = UUID("0190f6e0-0000-7000-8000-000000000001")
    # The first eight bytes of the SHA-256 of the id's bytes are 0.04473 of the largest number.
    assert [is_in_share(version_id, share) for share in (0.0447, 0.0448)] == [False, True]

"""Which figures hold a limit, and which end `make bench` with 1."""

from collections import Counter

import pytest

from bench import answers, clients, transfer, viewers
from bench.answers import Asked
from bench.clients import Tally
from bench.event_stream import Viewer
from bench.transfer import Times

_LISTS = [0.1] * 99


def _times(ours: float, bare: float) -> Times:
    """The first rounds are slow at both, and do not count."""
    return Times([90.0, 90.0, ours, ours], [90.0, 90.0, bare, bare])


def test_a_speed_is_that_of_the_rounds_after_the_first_two() -> None:
    assert _times(2.0, 1.0).speeds() == (50.0, 100.0)


@pytest.mark.parametrize(
    ("upload", "download", "grown", "refused", "is_held"),
    [
        (0.61, 0.51, 63, 0, True),
        (0.59, 0.51, 63, 0, False),
        (0.61, 0.49, 63, 0, False),
        (0.61, 0.51, 65, 0, False),
        (0.61, 0.51, 63, 1, False),
    ],
)
def test_transfers(
    upload: float, download: float, grown: float, refused: int, is_held: bool
) -> None:
    up, down = _times(1 / upload, 1.0), _times(1 / download, 1.0)
    assert transfer.judge(up, down, {"one": 1.0, "eight": grown}, refused) is is_held


@pytest.mark.parametrize(
    ("late", "dropped", "is_held"), [(4, 0, True), (6, 0, False), (4, 1, False)]
)
def test_answers(late: int, dropped: int, is_held: bool) -> None:
    added = [100.0] * (100 - late) + [900.0] * late
    assert answers.judge(Asked(added, dropped)) is is_held


def test_answers_of_which_none_began() -> None:
    assert not answers.judge(Asked([], 300))


@pytest.mark.parametrize(
    ("queries", "following", "seen", "is_over", "processes", "is_held"),
    [
        (21, 1, [1, 2], True, 1, True),
        (22, 1, [1, 2], True, 1, False),
        (0, 1, [1, 2], True, 1, False),
        (21, 2, [1, 2], True, 1, False),
        (21, 1, [1, 3], True, 1, False),
        (21, 1, [1, 2], False, 1, False),
        (42, 2, [1, 2], True, 2, True),
        (43, 2, [1, 2], True, 2, False),
    ],
)
def test_viewers(
    queries: int, following: int, seen: list[int], is_over: bool, processes: int, is_held: bool
) -> None:
    watching = [Viewer("a-job", seen, is_over)]
    assert viewers.judge(watching, 10.0, queries, following, processes) is is_held


@pytest.mark.parametrize(
    ("status", "broken", "slowest", "seen", "is_held"),
    [
        (200, 0, 1.9, [1, 2], True),
        (202, 0, 1.9, [1, 2], True),
        (429, 0, 1.9, [1, 2], False),
        (503, 0, 1.9, [1, 2], False),
        (200, 1, 1.9, [1, 2], False),
        (200, 0, 2.0, [1, 2], False),
        (200, 0, 1.9, [1, 3], False),
    ],
)
def test_clients(status: int, broken: int, slowest: float, seen: list[int], is_held: bool) -> None:
    tallies = [
        Tally(Counter({200: 99}), 0, _LISTS),
        Tally(Counter({status: 1}), broken, [slowest] * 9, [0.5], [Viewer("a-job", seen)]),
    ]
    assert clients.judge(tallies, 1, 0.1) is is_held


def test_clients_of_whom_none_was_answered() -> None:
    assert clients.judge([Tally(Counter(), 2)], 0, 0.1) is False

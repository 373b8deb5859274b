"""When a process's memory counts as flat."""

import pytest

from bench.memory import growth, not_flat


def test_growth_is_the_last_sample_over_the_first() -> None:
    assert growth([200, 500, 220]) == pytest.approx(0.1)
    assert growth([200]) == 0


@pytest.mark.parametrize(("last", "is_flat"), [(109, True), (91, True), (111, False), (89, False)])
def test_memory_is_flat_within_a_tenth(last: float, is_flat: bool) -> None:
    samples = [{"worker": 100.0}, {"worker": 150.0}, {"worker": last}]
    assert (not_flat(samples, ["worker"]) == {}) is is_flat


def test_a_process_that_is_gone_is_not_flat() -> None:
    samples = [{"worker": 100.0, "other": 50.0}, {"worker": 100.0}]
    assert not_flat(samples, ["worker", "other", "absent"]) == {"other": -1.0, "absent": 0.0}


def test_other_processes_may_grow() -> None:
    assert (
        not_flat([{"worker": 100.0, "api": 1.0}, {"worker": 100.0, "api": 2.0}], ["worker"]) == {}
    )

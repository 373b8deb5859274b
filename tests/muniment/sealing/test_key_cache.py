"""Unwrapped keys are forgotten in time, and when there are too many."""

import pytest

from muniment.sealing import ExpiringCache


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_an_entry_is_forgotten_when_its_life_ends() -> None:
    clock = Clock()
    cache: ExpiringCache[str, int] = ExpiringCache(4, life_seconds=300, clock=clock)
    cache.put("a", 1)
    clock.now = 299.9
    assert cache.get("a") == 1
    clock.now = 300.0
    assert cache.get("a") is None
    assert len(cache) == 0


def test_the_oldest_entry_goes_when_there_are_too_many() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(2)
    for number, name in enumerate("abc"):
        cache.put(name, number)
    assert [cache.get(name) for name in "abc"] == [None, 1, 2]


def test_forgetting_is_at_once_and_may_be_repeated() -> None:
    cache: ExpiringCache[str, int] = ExpiringCache(2)
    cache.put("a", 1)
    cache.forget("a")
    cache.forget("a")
    assert cache.get("a") is None


def test_no_cache_remembers_longer_than_five_minutes() -> None:
    with pytest.raises(ValueError, match="300"):
        ExpiringCache[str, int](2, life_seconds=301)

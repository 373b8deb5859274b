"""What a large document took is given back to the system."""

import os

import psutil

from worker.memory import FreedMemory


def held() -> int:
    return int(psutil.Process().memory_full_info().uss)


async def test_memory_that_was_freed_is_given_back() -> None:
    freed_memory = FreedMemory()
    await freed_memory.round()  # what other tests left
    before = held()
    taken = [os.urandom(1_000) for _ in range(100_000)]
    kept = taken[::1_000]  # between them the allocator's heap cannot shrink from its end
    del taken
    freed = held()
    await freed_memory.round()
    assert freed - before > 50_000_000
    assert held() - before < 25_000_000
    assert len(kept) == 100

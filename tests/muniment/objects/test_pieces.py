"""Pieces on their way: cut to size, and made while others are used."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from muniment.objects.pieces import ahead, slices
from tests.patience import on_a_busy_machine


class Source:
    """Hands out numbered pieces, and notes how far it is."""

    def __init__(self, count: int, *, breaks: bool = False) -> None:
        self.made = 0
        self.closed = False
        self._count = count
        self._breaks = breaks

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self._count):
                await asyncio.sleep(0)
                self.made += 1
                yield bytes([number])
            if self._breaks:
                raise OSError("broken off")
        finally:
            self.closed = True


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("sizes", [[3, 3, 3], [1] * 10, [10], [4, 0, 4], [], [9, 1]])
async def test_slices_are_the_same_bytes_in_other_pieces(sizes: list[int]) -> None:
    content = bytes(range(sum(sizes)))

    async def chunks() -> AsyncGenerator[bytes, None]:
        start = 0
        for size in sizes:
            yield content[start : start + size]
            start += size

    cut = [piece async for piece in slices(chunks(), 4)]
    assert b"".join(cut) == content
    assert [len(piece) for piece in cut[:-1]] == [4] * (len(cut) - 1)
    assert all(0 < len(piece) <= 4 for piece in cut)


async def test_the_next_piece_is_made_while_one_is_used_and_no_more() -> None:
    source = Source(10)
    seen = []
    async with aclosing(ahead(source.pieces())) as pieces:
        async for piece in pieces:
            seen.append(piece)
            await settled()
            assert source.made == min(len(seen) + 1, 10)
    assert b"".join(seen) == bytes(range(10))
    assert source.closed


async def test_what_breaks_off_is_told_after_what_came_before_it() -> None:
    source = Source(2, breaks=True)
    pieces = ahead(source.pieces())
    assert [await anext(pieces), await anext(pieces)] == [b"\0", b"\1"]
    with pytest.raises(OSError, match="broken off"):
        await anext(pieces)
    assert source.closed


async def test_who_leaves_early_closes_the_source() -> None:
    source = Source(10)
    async with aclosing(ahead(source.pieces())) as pieces:
        await anext(pieces)
    assert source.closed
    assert source.made <= 2


async def test_a_cancellation_reaches_what_makes_the_next_piece() -> None:
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def never() -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    async def use() -> None:
        async with aclosing(ahead(never())) as pieces:
            async for _ in pieces:
                pass

    using = asyncio.create_task(use())
    await waiting.wait()
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert closed.is_set()


async def test_nothing_comes_of_nothing() -> None:
    assert [piece async for piece in ahead(Source(0).pieces())] == []


async def test_who_is_cancelled_twice_closes_the_source_all_the_same() -> None:
    waiting, closing, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def never() -> AsyncGenerator[bytes, None]:
        try:
            yield b"first"
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closing.set()
            await asyncio.sleep(0.05)
            closed.set()

    async def use() -> None:
        async with aclosing(ahead(never())) as pieces:
            async for _ in pieces:
                await asyncio.Event().wait()

    using = asyncio.create_task(use())
    for reached in (waiting, closing):
        await reached.wait()
        using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    async with asyncio.timeout(on_a_busy_machine(10)):
        await closed.wait()

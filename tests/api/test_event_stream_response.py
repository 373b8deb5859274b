"""The response that streams events, spoken to as a server does (ASGI 3)."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
from starlette.types import Message

from api.events import response
from api.events.response import EventStreamResponse
from tests.patience import on_a_busy_machine


async def test_who_takes_nothing_any_more_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(response, "LONGEST_STALL_SECONDS", 0.1)
    ended: list[str] = []

    async def events() -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b": still here\n\n"
        finally:
            ended.append("stream")

    async def on_end() -> None:
        ended.append("all")

    async def stalled(message: Message) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(3600)

    async def connected() -> Message:
        await asyncio.sleep(3600)
        raise AssertionError

    async with asyncio.timeout(on_a_busy_machine(5)):
        await EventStreamResponse(events(), on_end)({"type": "http"}, connected, stalled)
    assert ended == ["stream", "all"]

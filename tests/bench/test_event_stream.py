"""What counts as an event, and what as a lost one."""

import asyncio
from pathlib import Path

import pytest

from bench.event_stream import Viewer
from bench.stack import Stack


@pytest.mark.parametrize(
    ("seen", "lost"),
    [([], 0), ([4], 0), ([4, 5, 6], 0), ([4, 6, 7], 1), ([4, 5, 5, 6], 1), ([1, 4, 2], 2)],
)
def test_every_id_comes_once_and_in_order(seen: list[int], lost: int) -> None:
    assert Viewer("a-job", seen).lost == lost


async def test_an_event_that_was_cut_off_did_not_come() -> None:
    """Else the viewer would ask for what comes behind it, and miss it for good."""
    sent = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"e\r\nretry: 1000\n\n\r\n"
        b"25\r\nid: 7\nevent: snapshot\ndata: {\"a\": 1}\n\n\r\n"
        b"8\r\n: alive\n\n\r\n"
        b"1f\r\nid: 8\nevent: state\ndata: {"
    )  # fmt: skip

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        port = server.sockets[0].getsockname()[1]
        stack = Stack(Path(), f"http://127.0.0.1:{port}", "a-key", "", "", "", "")
        viewer = Viewer("a-job")
        assert [event async for event in viewer.look(stack)] == ["snapshot"]
    assert viewer.seen == [7]

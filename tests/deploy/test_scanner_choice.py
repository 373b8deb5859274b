"""The supervisor looks for a scanner without standing still: whoever stops it meanwhile is heard."""

import asyncio
from pathlib import Path

import pytest

from deploy.embedded import scanner
from deploy.embedded.home import Home
from deploy.embedded.places import choose_places


async def test_a_clamd_that_never_says_what_it_found_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    hung_up = asyncio.Event()

    async def answer_pings_alone(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if await reader.read(1024) == b"zPING\0":
            writer.write(b"PONG\0")
        else:
            await reader.read()
            hung_up.set()
        writer.close()

    path = tmp_path / "clamd.ctl"
    monkeypatch.setattr(scanner, "SYSTEM_SOCKETS", (path,))
    home = Home(tmp_path / "home")
    home.create()
    server = await asyncio.start_unix_server(answer_pings_alone, str(path))
    async with server:
        choosing = asyncio.create_task(
            scanner.choose_scanner(home, choose_places(home, None), environment={})
        )
        for _ in range(50):  # turns: who stood still would have its answer at the next one
            await asyncio.sleep(0.01)
            assert not choosing.done(), "it waits for the scan"
        choosing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await choosing
        async with asyncio.timeout(60):
            await hung_up.wait()

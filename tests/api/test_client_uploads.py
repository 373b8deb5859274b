"""The typed client's uploads that go on where they broke off, against a real API."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest

from muniment.client import AsyncMuniment, Muniment
from muniment.errors import MunimentError
from tests.api.conftest import ApiProcess, audit_actions, client_of, start_api, stop_api
from tests.api.tus import content_of
from tests.conftest import TenantFixture, free_port

MIB = 1024 * 1024
LARGE = 40 * MIB


@pytest.fixture
def own_api(api: ApiProcess, tmp_path: Path) -> Iterator[ApiProcess]:
    """An API that may be killed, and comes back at the same address."""
    port = {"MUNIMENT_API__PORT": str(free_port())}
    own = start_api(tmp_path / "own", {**api.environment, **port})
    yield own
    stop_api(own)


def revive(own_api: ApiProcess) -> None:
    own_api.process = start_api(own_api.home, own_api.environment).process


@pytest.mark.parametrize("verify", [False, True])
async def test_a_killed_api_costs_no_more_than_the_piece_on_its_way(
    own_api: ApiProcess, tenant: TenantFixture, verify: bool
) -> None:
    content = os.urandom(LARGE)
    positions: list[int] = []
    reviving: list[threading.Thread] = []

    def kill_in_the_middle(position: int) -> None:
        positions.append(position)
        if position > 25 * MIB and not reviving:
            own_api.process.send_signal(signal.SIGKILL)
            own_api.process.wait()
            reviving.append(threading.Thread(target=revive, args=[own_api]))
            reviving[0].start()

    def upload() -> str:
        with Muniment(own_api.url, tenant.api_key) as muniment:
            file = muniment.upload(
                BytesIO(content),
                name="large.bin",
                metadata={"case": "A-1"},
                verify=verify,
                resumable=True,
                progress=kill_in_the_middle,
            )
        return str(file.id)

    file_id = await asyncio.to_thread(upload)
    reviving[0].join()
    resumed_at = positions[next(n for n in range(len(positions)) if falls_at(positions, n))]
    # The parts before the one on its way had been acknowledged; a checked piece counts as a whole.
    assert resumed_at > (15 if verify else 7) * MIB
    assert positions[-1] == LARGE
    async with client_of(own_api, tenant.api_key) as client:
        assert await content_of(client, file_id) == content
        shown = (await client.get(f"/v1/files/{file_id}")).json()
    assert (shown["name"], shown["metadata"]) == ("large.bin", {"case": "A-1"})


def falls_at(positions: list[int], index: int) -> bool:
    return index > 0 and positions[index] <= positions[index - 1]


async def test_the_asynchronous_client_sends_what_is_large_small_and_empty(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    content = os.urandom(3 * MIB)
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        file = await muniment.upload(content, name="übung, 1.bin", resumable=True)
        empty = await muniment.upload(b"", name="empty.bin", resumable=True)
    assert (file.name, file.size, empty.size) == ("übung, 1.bin", len(content), 0)
    assert await content_of(client, str(file.id)) == content
    assert audit_actions(postgres_dsn, tenant.tenant_id).count("upload.created") == 2


async def test_a_refusal_is_told(api: ApiProcess, tenant: TenantFixture) -> None:
    async with AsyncMuniment(api.url, tenant.api_key) as muniment:
        with pytest.raises(MunimentError) as refused:
            await muniment.upload(b"x", name="a.txt", collection="absent", resumable=True)
    assert "collection" in str(refused.value)

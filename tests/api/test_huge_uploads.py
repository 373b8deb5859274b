"""Files of many gigabytes, whose content is made as it is sent: no process holds one, and none is read
again but once, where its parts are joined."""

import asyncio
import hashlib
import json
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.tus import create, opened, patch
from tests.conformance.s3_server import S3Process
from tests.conftest import TenantFixture

MEBIBYTE = 1024 * 1024
SIZE = 4 * 1024 * MEBIBYTE
PIECE = 512 * MEBIBYTE
PART = 1024 * MEBIBYTE
BESIDES = 64 * MEBIBYTE
"""What a process reads and writes besides the content: rows, the log, requests, seals of segments."""


@dataclass
class Use:
    """What a process came to use within a block: memory of its own above what it began with, and
    bytes that went through its reads and writes, those of sockets included."""

    peak_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


@contextmanager
def measured(process: psutil.Process) -> Iterator[Use]:
    use, ended = Use(), threading.Event()
    idle, before = process.memory_full_info().uss, process.io_counters()

    def watch() -> None:
        while not ended.wait(0.2):
            use.peak_bytes = max(use.peak_bytes, process.memory_full_info().uss - idle)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield use
    finally:
        ended.set()
        watching.join()
    after = process.io_counters()
    use.read_bytes = after.read_chars - before.read_chars
    use.written_bytes = after.write_chars - before.write_chars


async def zeros(mark: bytes, first: int, stop: int) -> AsyncIterator[bytes]:
    """Content of that place: zeros behind a mark, so that no two files are the same."""
    block = bytes(MEBIBYTE)
    for at in range(first, stop, MEBIBYTE):
        yield mark + block[len(mark) :] if at == 0 else block


@pytest.fixture
def roomy(api_environment: dict[str, str], tmp_path: Path) -> Iterator[ApiProcess]:
    environment = {**api_environment, "MUNIMENT_API__MAX_UPLOAD_BYTES": str(2 * SIZE)}
    api = start_api(tmp_path / "home", environment)
    yield api
    assert stop_api(api) == 0


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_gigabytes_come_in_pieces_and_whole_and_nothing_holds_or_rereads_them(
    roomy: ApiProcess, tenant: TenantFixture
) -> None:
    process = psutil.Process(roomy.process.pid)
    clock = asyncio.get_running_loop().time
    figures: dict[str, float] = {}
    async with client_of(roomy, tenant.api_key) as client:
        client.timeout = httpx.Timeout(900)
        began = clock()
        with measured(process) as pieces:
            path = await opened(client, SIZE)
            for first in range(0, SIZE, PIECE):
                last = await patch(client, path, first, zeros(b"pieces", first, first + PIECE))
                assert last.status_code == 204, last.text
        figures["tus_seconds"] = round(clock() - began, 1)
        await the_file_is_whole(client, last.headers["Muniment-File"], b"pieces")
        began = clock()
        with measured(process) as whole:
            answer = await client.post("/v1/files?name=whole.bin", content=zeros(b"whole", 0, SIZE))
        figures["body_seconds"] = round(clock() - began, 1)
        await the_file_is_whole(client, answer.json()["id"], b"whole")
    for name, use in (("tus", pieces), ("body", whole)):
        figures[f"{name}_peak_mebibytes"] = round(use.peak_bytes / MEBIBYTE, 1)
        figures[f"{name}_read_times"] = round(use.read_bytes / SIZE, 3)
        figures[f"{name}_written_times"] = round(use.written_bytes / SIZE, 3)
    print(json.dumps(figures))
    assert max(pieces.peak_bytes, whole.peak_bytes) < 150 * MEBIBYTE
    # From the socket once, and a second time out of the store, where the parts are joined.
    assert pieces.read_bytes < 2.01 * SIZE + BESIDES
    assert pieces.written_bytes < 2.01 * SIZE + BESIDES
    assert whole.read_bytes < 1.01 * SIZE + BESIDES
    assert whole.written_bytes < 1.01 * SIZE + BESIDES


async def the_file_is_whole(client: httpx.AsyncClient, file_id: str, mark: bytes) -> None:
    """Its length, its first bytes and its last; the digest is what the API told while it came."""
    path = f"/v1/files/{file_id}/content"
    assert (await client.get(f"/v1/files/{file_id}")).json()["size"] == SIZE
    start = await client.get(path, headers={"Range": "bytes=0-15"})
    assert start.content == mark + bytes(16 - len(mark))
    end = await client.get(path, headers={"Range": "bytes=-16"})
    assert (end.status_code, end.content) == (206, bytes(16))


@dataclass
class RoomyOnS3:
    api: ApiProcess
    server: psutil.Process


@pytest.fixture
def roomy_on_s3(api_environment: dict[str, str], tmp_path: Path) -> Iterator[RoomyOnS3]:
    environment = {**api_environment, "MUNIMENT_API__MAX_UPLOAD_BYTES": str(2 * SIZE)}
    s3 = S3Process(tmp_path / "s3")
    s3.start()
    try:
        api = start_api(tmp_path / "home", environment, s3.server.new_bucket())
        yield RoomyOnS3(api, psutil.Process(s3.pid))
        assert stop_api(api) == 0
    finally:
        s3.stop()
        shutil.rmtree(tmp_path / "s3")  # what pytest keeps of its last runs would fill a disk


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_gigabytes_in_parts_are_joined_on_s3_and_nothing_holds_or_rereads_them(
    roomy_on_s3: RoomyOnS3, tenant: TenantFixture
) -> None:
    api, server = psutil.Process(roomy_on_s3.api.process.pid), roomy_on_s3.server
    marks = [f"part {number}".encode() for number in range(SIZE // PART)]
    clock = asyncio.get_running_loop().time
    figures: dict[str, float] = {}
    async with client_of(roomy_on_s3.api, tenant.api_key) as client:
        client.timeout = httpx.Timeout(900)
        began = clock()
        with measured(api) as coming, measured(server) as stored:
            partial = {"Upload-Concat": "partial", "Upload-Metadata": ""}
            paths = [await opened(client, PART, headers=partial) for _ in marks]
            for path, mark in zip(paths, marks, strict=True):
                sent = await patch(client, path, 0, zeros(mark, 0, PART))
                assert sent.status_code == 204, sent.text
        figures["parts_seconds"] = round(clock() - began, 1)
        began = clock()
        with measured(api) as joining, measured(server) as joined:
            made = await create(client, None, {"Upload-Concat": f"final;{' '.join(paths)}"})
            assert made.status_code == 201, made.text
        figures["joining_seconds"] = round(clock() - began, 1)
        file_id = made.headers["Muniment-File"]
        await the_file_is_whole(client, file_id, marks[0])
        digest = (await client.get(f"/v1/files/{file_id}")).json()["sha256"]
    assert digest == await asyncio.to_thread(sha256_of_parts, marks)
    for name, use in (("parts", coming), ("joining", joining)):
        figures[f"{name}_peak_mebibytes"] = round(use.peak_bytes / MEBIBYTE, 1)
    for name, use in (("stored", stored), ("joined", joined)):
        figures[f"{name}_read_times"] = round(use.read_bytes / SIZE, 3)
        figures[f"{name}_written_times"] = round(use.written_bytes / SIZE, 3)
    print(json.dumps(figures))
    assert max(coming.peak_bytes, joining.peak_bytes) < 150 * MEBIBYTE
    # The gateway takes each byte once, and copies it once where it completes an object of parts.
    assert max(stored.read_bytes, stored.written_bytes) < 2.02 * SIZE + BESIDES
    # While they are joined it hands out each byte once more.
    assert max(joined.read_bytes, joined.written_bytes) < 3.03 * SIZE + BESIDES


def sha256_of_parts(marks: list[bytes]) -> str:
    digest, block = hashlib.sha256(), bytes(MEBIBYTE)
    for mark in marks:
        digest.update(mark + block[len(mark) :])
        for _ in range(PART // MEBIBYTE - 1):
            digest.update(block)
    return digest.hexdigest()

"""A source of imports has threads of its own, and neither waits for others nor keeps them waiting."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import pytest

from muniment.objects import connect_s3
from muniment.objects.importing import S3ImportSource
from tests.conformance.s3_server import S3Server, serving_s3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with serving_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server


async def test_a_source_answers_while_the_loops_own_threads_are_busy(server: S3Server) -> None:
    client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
    client.make_bucket("imports")
    client.put_object("imports", "a.txt", BytesIO(b"words"), 5)
    source, may_end = S3ImportSource(client, "imports"), threading.Event()
    with ThreadPoolExecutor(1) as only:
        asyncio.get_running_loop().set_default_executor(only)
        busy = asyncio.create_task(asyncio.to_thread(may_end.wait))
        async with asyncio.timeout(120):
            await source.probe()
            pages = [page async for page in source.list("", None)]
            content = b"".join([chunk async for chunk in source.read("a.txt")])
        may_end.set()
        await busy
        await source.close()
    assert [found.key for page in pages for found in page] == ["a.txt"]
    assert content == b"words"
    client._http.clear()

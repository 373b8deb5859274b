"""The bare servers that uploads, downloads and lists are measured by, and the client of the first."""

import os
import time
from pathlib import Path

import httpx
import pytest

from bench.clients import ask_bare
from bench.doors import BareList, Refused, bare_door, bare_list, sha256
from db.session import Database
from tests.conftest import TenantFixture
from tests.db.test_row_level_security import make_file


def test_the_bare_server_keeps_and_gives_back_what_is_sent(tmp_path: Path) -> None:
    content = os.urandom(3 * 1024 * 1024 + 7)
    received = bytearray(len(content) + 1)
    with bare_door(tmp_path) as door:
        assert door.send("PUT", "/kept", content) == sha256(content)
        assert (tmp_path / "kept").read_bytes() == content
        assert door.fetch("/kept", received) == len(content)
        assert received[: len(content)] == content
        with pytest.raises(Refused):
            door.fetch("/absent", received)


async def test_the_bare_list_answers_with_the_newest_files(
    postgres_dsn: str, database: Database, tenant: TenantFixture
) -> None:
    file_id = await make_file(database, tenant, owner_id=None, collection_id=tenant.collection_id)
    with bare_list(postgres_dsn) as bare:
        async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
            answer = await client.get(bare.address)
        tally = await ask_bare(bare, time.perf_counter() + 1)
    after = await ask_bare(BareList(bare.address, os.getpid()), time.perf_counter() + 1)
    assert str(file_id) in [each["id"] for each in answer.json()]
    assert len(tally.list_seconds) >= 1
    assert tally.broken == 0
    assert not after.list_seconds
    assert after.broken >= 1, "a server that is gone is counted, and ends no run"

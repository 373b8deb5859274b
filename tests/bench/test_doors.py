"""The bare servers that uploads, downloads and lists are measured by, and the client of the first."""

import os
from pathlib import Path

import httpx
import pytest

from bench.doors import Refused, bare_door, bare_list, sha256
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
    assert str(file_id) in [each["id"] for each in answer.json()]

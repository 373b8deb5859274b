"""Uploads of a tenant that wait for each other, and what they leave to others."""

import asyncio

import httpx
import psycopg
import pytest

from api.files.turns import AT_ONCE, Turns
from db.models import new_id
from muniment.errors import DatabaseTooSlow
from tests.conftest import TenantFixture

_UPLOADS = 14
"""More than the API has connections."""


async def test_so_many_of_a_tenant_pass_at_once_and_the_next_in_their_order() -> None:
    turns, tenant_id, order = Turns(2), new_id(), list[int]()
    open_door = asyncio.Event()

    async def pass_through(number: int) -> None:
        async with turns.take(tenant_id):
            order.append(number)
            await open_door.wait()

    waiting = [asyncio.create_task(pass_through(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert order == [0, 1]
    async with turns.take(new_id()):  # another tenant waits for nobody
        waiting[2].cancel()
    open_door.set()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert order == [0, 1, 3, 4]


async def test_who_gets_no_turn_is_told_so_and_a_turn_comes_back_after_a_failure() -> None:
    turns, tenant_id = Turns(1, 0.05), new_id()

    async def fail() -> None:
        async with turns.take(tenant_id):
            raise ZeroDivisionError

    async with turns.take(tenant_id):
        with pytest.raises(DatabaseTooSlow):
            await fail()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await fail()


async def test_uploads_that_wait_for_their_tenant_leave_connections_to_readers(
    client: httpx.AsyncClient, postgres_dsn: str, tenant: TenantFixture
) -> None:
    assert (await client.post("/v1/files?name=first.txt", content=b"first")).status_code == 202
    with (
        psycopg.connect(postgres_dsn) as holding,
        psycopg.connect(postgres_dsn, autocommit=True) as looking,
    ):
        holding.execute(
            "SELECT FROM tenant_usage WHERE tenant_id = %s FOR UPDATE", (tenant.tenant_id,)
        )
        uploads = [
            asyncio.create_task(
                client.post(f"/v1/files?name={number}.txt", content=f"{number}".encode())
            )
            for number in range(_UPLOADS)
        ]

        def waiting() -> int:
            found = looking.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            ).fetchone()
            assert found is not None
            return int(found[0])

        async with asyncio.timeout(30):
            while waiting() < AT_ONCE:
                assert not any(upload.done() for upload in uploads)
                await asyncio.sleep(0.02)
        assert (await client.get("/v1/files")).status_code == 200
        assert waiting() <= AT_ONCE
        holding.commit()
        answers = await asyncio.gather(*uploads)
    assert [answer.status_code for answer in answers] == [202] * _UPLOADS

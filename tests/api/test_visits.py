"""What visits leave behind, and visits that meet each other, an erasure or the end of a process."""

import asyncio
import os
from contextlib import suppress
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from db.models import ShareLink, now
from db.queries import shares
from db.queries.shares import Taking, TryLimits
from db.session import Database
from tests.api.conftest import ApiProcess, start_api, stop_api
from tests.api.sharing import (
    Link,
    change,
    clean_file,
    downloads_of,
    share,
    visitor,
)
from tests.api.test_upload_pieces import blob_store
from tests.conftest import TenantFixture
from worker.spent_visits import SpentVisits


@pytest.fixture
async def file_id(client: httpx.AsyncClient, postgres_dsn: str) -> str:
    return await clean_file(client, postgres_dsn)


@pytest.fixture
async def link(client: httpx.AsyncClient, file_id: str) -> Link:
    return await share(client, file_id)


async def test_what_visitors_leave_is_forgotten_when_its_time_is_over(
    api: ApiProcess,
    client: httpx.AsyncClient,
    file_id: str,
    database: Database,
    postgres_dsn: str,
) -> None:
    """Without another visit."""
    link = await share(client, file_id, password="correct horse battery")
    for _ in range(2):
        async with visitor(api) as anybody:
            await anybody.post(link.path, data={"password": "incorrect horse"})
            await anybody.post(link.path, data={"password": "correct horse battery"})
            await anybody.get(link.content)
    for table, column in (("share_session", "expires_at"), ("share_try", "at")):
        change(
            postgres_dsn,
            f"UPDATE {table} SET {column} = now() - interval '16 minutes' WHERE ctid ="  # noqa: S608
            f" (SELECT ctid FROM {table} WHERE share_id = %s LIMIT 1)",
            link.id,
        )
    async with blob_store(api) as blobs:
        await SpentVisits(database, blobs).round()
    with psycopg.connect(postgres_dsn) as connection:
        left = connection.execute(
            "SELECT (SELECT count(*) FROM share_session WHERE share_id = %(id)s),"
            " (SELECT count(*) FROM share_try WHERE share_id = %(id)s)",
            {"id": link.id},
        ).fetchone()
    assert left == (1, 1)


async def test_a_link_that_is_erased_in_the_middle_of_a_visit_is_not_there(
    link: Link, database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    async with database.transaction(tenant.access) as session:
        found = await session.get_one(ShareLink, UUID(link.id))
    change(postgres_dsn, "DELETE FROM share_link WHERE id = %s", link.id)
    async with database.transaction(tenant.access) as session:
        taking = await shares.take(session, found, uuid4(), now() + timedelta(hours=1), 10)
        begun = await shares.begin_try(session, found, b"address", TryLimits(5, 50))
    assert (taking, begun) == (Taking.GONE, None)


async def test_the_oldest_sessions_of_a_link_are_forgotten_when_there_are_too_many(
    client: httpx.AsyncClient, file_id: str, database: Database, tenant: TenantFixture
) -> None:
    unlimited, limited = await share(client, file_id), await share(client, file_id, max_downloads=4)
    for link, remembered in ((unlimited, 3), (limited, 4)):
        taken = [uuid4() for _ in range(4)]
        for minutes, session_id in enumerate(taken):
            async with database.transaction(tenant.access) as session:
                found = await session.get_one(ShareLink, UUID(link.id))
                until = now() + timedelta(minutes=10 + minutes)
                # A link that is used up by its visitors needs no other bound.
                most = 3 if link is unlimited else 4
                taking = await shares.take(session, found, session_id, until, most)
                assert taking is Taking.COUNTED
        async with database.transaction(tenant.access) as session:
            known = [
                await shares.was_counted(session, UUID(link.id), session_id) for session_id in taken
            ]
        assert known == [len(taken) - each <= remembered for each in range(len(taken))]


async def test_processes_count_together_and_one_that_is_killed_costs_no_second_download(
    api: ApiProcess,
    api_environment: dict[str, str],
    client: httpx.AsyncClient,
    postgres_dsn: str,
) -> None:
    large = os.urandom(32 * 1024 * 1024)
    file_id = await clean_file(client, postgres_dsn, "large.bin", large)
    link = await share(client, file_id, max_downloads=2)
    other = start_api(api.home, api_environment)
    try:
        async with visitor(other) as first:
            await first.get(link.path)
            async with first.stream("GET", link.content) as reading:
                pieces = reading.aiter_raw()
                got = await anext(pieces)
                other.process.kill()
                with suppress(httpx.TransportError):
                    async for piece in pieces:
                        got += piece
            assert 0 < len(got) < len(large)
            rest = await first.get(
                f"{api.url}{link.content}", headers={"Range": f"bytes={len(got)}-"}
            )
            assert rest.status_code == 206
            assert got + rest.content == large
        assert await downloads_of(client, link) == 1
        other.process.wait()
        other = start_api(api.home, api_environment)
        visitors = [visitor(each) for each in (api, other, api, other)]
        ranged = {"Range": "bytes=0-9"}
        answers = await asyncio.gather(
            *(each.get(link.content, headers=ranged) for each in visitors)
        )
        assert sorted(answer.status_code for answer in answers) == [206, 410, 410, 410]
        for each in visitors:
            await each.aclose()
    finally:
        assert stop_api(other) == 0

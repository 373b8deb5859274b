"""What is joined by several processes at once, and what waits to be joined."""

import asyncio
import os
from datetime import datetime, timedelta

import httpx
import psycopg
import pytest
from psycopg import sql

from db.models import now
from tests.api.conftest import ApiProcess, client_of, start_api, stop_api
from tests.api.tus import address, content_of, create, opened, patch
from tests.conftest import TenantFixture, make_tenant
from tests.patience import on_a_busy_machine

MEBIBYTE = 1024 * 1024
PARTIAL = {"Upload-Concat": "partial", "Upload-Metadata": ""}
ELSEWHERE = "another request is making a file of this upload"


async def partial_upload(client: httpx.AsyncClient, content: bytes) -> str:
    path = await opened(client, len(content), headers=PARTIAL)
    assert (await patch(client, path, 0, content)).status_code == 204
    return path


def column(postgres_dsn: str, name: str, path: str) -> datetime | None:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            sql.SQL("SELECT {} FROM upload WHERE id = %s").format(sql.Identifier(name)),
            (path.rpartition("/")[2],),
        ).fetchone()
    assert row is not None
    found: datetime | None = row[0]
    return found


async def until_joining(postgres_dsn: str, path: str) -> None:
    async with asyncio.timeout(on_a_busy_machine(60)):
        while column(postgres_dsn, "joining_until", path) is None:  # noqa: ASYNC110 - a row
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("ending", ["ends well", "is killed"])
async def test_of_two_processes_one_joins_and_the_other_is_told_at_once(
    api: ApiProcess,
    client: httpx.AsyncClient,
    api_environment: dict[str, str],
    tenant: TenantFixture,
    postgres_dsn: str,
    ending: str,
) -> None:
    pieces = [os.urandom(48 * MEBIBYTE) for _ in range(2)]
    paths = [await partial_upload(client, piece) for piece in pieces]
    final = {"Upload-Concat": f"final;{' '.join(paths)}"}
    other = start_api(api.home, api_environment)
    try:
        async with client_of(other, tenant.api_key) as elsewhere:
            joining = asyncio.create_task(create(elsewhere, None, final))
            await until_joining(postgres_dsn, paths[1])
            if ending == "is killed":
                other.process.kill()
            refused = await create(client, None, final)
            assert (refused.status_code, refused.json()["detail"]) == (409, ELSEWHERE)
            if ending == "is killed":
                with pytest.raises(httpx.TransportError):
                    await joining
                made = await joined_in_the_end(client, final)
            else:
                made = await joining
        assert await content_of(client, made.headers["Muniment-File"]) == b"".join(pieces)
    finally:
        ended = await asyncio.to_thread(stop_api, other)
        assert ended == (0 if ending == "ends well" else -9)


async def joined_in_the_end(client: httpx.AsyncClient, final: dict[str, str]) -> httpx.Response:
    """Who was killed keeps others from it for some seconds only."""
    async with asyncio.timeout(on_a_busy_machine(30)):
        while (answer := await create(client, None, final)).status_code == 409:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    assert address(answer)
    return answer


async def test_who_may_not_join_an_upload_keeps_nobody_from_it(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    path = await partial_upload(client, b"mine")
    final = {"Upload-Concat": f"final;{path}"}
    colleague = make_tenant(postgres_dsn, tenant.name, principal="colleague")
    async with client_of(api, colleague.api_key) as other:
        assert (await create(other, None, final)).status_code == 404
    assert column(postgres_dsn, "joining_until", path) is None
    assert (await create(client, None, final)).status_code == 201


async def test_what_is_complete_waits_for_what_still_comes_of_the_same_principal(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    complete = await partial_upload(client, b"first")
    ancient = await partial_upload(client, b"nobody ever joined it")
    unfinished = await opened(client, 9, headers=PARTIAL)
    plain = await opened(client, 9)
    colleague = make_tenant(postgres_dsn, tenant.name, principal="colleague")
    async with client_of(api, colleague.api_key) as other:
        foreign = await partial_upload(other, b"another's")
    soon = now() + timedelta(hours=1)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE upload SET expires_at = %s WHERE tenant_id = %s", (soon, tenant.tenant_id)
        )
        connection.execute(
            "UPDATE upload SET created_at = now() - interval '30 days' WHERE id = %s",
            (ancient.rpartition("/")[2],),
        )
    coming = await opened(client, 6, headers=PARTIAL)
    assert (await patch(client, coming, 0, b"sec")).status_code == 204
    kept = column(postgres_dsn, "expires_at", complete)
    assert kept is not None
    assert kept > now() + timedelta(hours=23)
    for path in (ancient, unfinished, plain, foreign):
        assert column(postgres_dsn, "expires_at", path) == soon
    assert (await patch(client, coming, 3, b"ond")).status_code == 204
    again = column(postgres_dsn, "expires_at", complete)
    assert again == kept, "not with every piece"
    joined = await create(client, None, {"Upload-Concat": f"final;{complete} {coming}"})
    assert await content_of(client, joined.headers["Muniment-File"]) == b"firstsecond"

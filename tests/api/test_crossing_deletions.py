"""Deletions of principals that cross each other, or what somebody else is about to insert: nobody is ended by
PostgreSQL for a deadlock, and each has an answer."""

import asyncio
import time

import httpx
import psycopg
import pytest

from tests.api.conftest import ApiProcess, client_of
from tests.api.test_principals import make_principal
from tests.conftest import TenantFixture, make_tenant
from tests.patience import on_a_busy_machine


async def until_it_waits_for_a_lock(dsn: str) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        async with asyncio.timeout(on_a_busy_machine(30)):
            while True:
                found = await connection.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                )
                row = await found.fetchone()
                if row and row[0]:
                    return
                await asyncio.sleep(0.01)


async def test_a_deletion_gives_way_to_who_inserts_what_belongs_to_the_principal(
    api: ApiProcess, client: httpx.AsyncClient, tenant: TenantFixture, postgres_dsn: str
) -> None:
    clerk = make_tenant(postgres_dsn, tenant.name, principal="clerk-of-locks", is_admin=False)
    heir = await make_principal(client, "heir-of-locks")
    async with client_of(api, clerk.api_key) as owner:
        file = (await owner.post("/v1/files?name=a", content=b"a")).json()
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as other:
        # As a retry of a job: the file first, then the row that names who asked.
        await other.execute("SELECT FROM file WHERE id = %s FOR UPDATE", (file["id"],))
        path = f"/v1/principals/{clerk.principal_id}?successor={heir['id']}"
        deleting = asyncio.create_task(client.delete(path))
        await until_it_waits_for_a_lock(postgres_dsn)
        began = time.monotonic()
        # What PostgreSQL asks for where a row is inserted that refers to the principal.
        await other.execute(
            "SELECT FROM principal WHERE id = %s FOR KEY SHARE", (clerk.principal_id,)
        )
        assert time.monotonic() - began < on_a_busy_machine(5)
        await other.commit()
        assert (await deleting).status_code == 204
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT owner_id::text FROM file WHERE id = %s", (file["id"],)
        ).fetchone()
        assert row == (heir["id"],)


@pytest.mark.parametrize("number", range(3))
async def test_two_who_are_deleted_each_for_the_other_do_not_wait_for_each_other(
    client: httpx.AsyncClient, postgres_dsn: str, number: int
) -> None:
    one, other = [await make_principal(client, f"{name}-{number}") for name in ("one", "other")]
    async with await psycopg.AsyncConnection.connect(postgres_dsn) as holder:
        await holder.execute(
            "SELECT FROM principal WHERE id = ANY(%s::uuid[]) FOR UPDATE",
            ([one["id"], other["id"]],),
        )
        deletions = [
            asyncio.create_task(
                client.delete(f"/v1/principals/{gone['id']}?successor={heir['id']}")
            )
            for gone, heir in ((one, other), (other, one))
        ]
        await until_it_waits_for_a_lock(postgres_dsn)
        await asyncio.sleep(0.1)
        await holder.rollback()  # both go on in the same moment
    answers = [(await each).status_code for each in deletions]
    assert sorted(answers) == [204, 422], "the second one's successor is gone"


async def test_who_never_lets_go_is_told_of(client: httpx.AsyncClient, postgres_dsn: str) -> None:
    made = await make_principal(client, "held")
    with psycopg.connect(postgres_dsn) as holder:
        holder.execute("SELECT FROM principal WHERE id = %s FOR UPDATE", (made["id"],))
        answer = await client.delete(f"/v1/principals/{made['id']}")
        assert answer.status_code == 503
        assert "Try again" in answer.json()["remedy"]
    assert (await client.delete(f"/v1/principals/{made['id']}")).status_code == 204

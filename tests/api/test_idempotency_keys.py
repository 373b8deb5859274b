"""Leases of idempotency keys: a crashed request frees its key, an old key is forgotten."""

from datetime import timedelta

import pytest
from fastapi import Request
from sqlalchemy import update

from api.authentication import Caller
from api.idempotency import HEADER, Answer, idempotent
from db.models import IdempotencyKey, new_id, now
from db.queries import idempotency
from db.queries.idempotency import Answered, InFlight, KeyOwner, Leased
from db.session import Database
from muniment.errors import DatabaseUnavailable
from tests.conftest import TenantFixture

ANSWER = Answered(b"hash", 202, {"id": "1"}, "/v1/files/1")


def owner_of(tenant: TenantFixture) -> KeyOwner:
    return KeyOwner(tenant.tenant_id, tenant.principal_id, "POST /v1/files", "key")


async def age(database: Database, tenant: TenantFixture, **columns: timedelta) -> None:
    async with database.transaction(tenant.access) as session:
        values = {name: now() - by for name, by in columns.items()}
        await session.execute(update(IdempotencyKey).values(**values))


async def test_a_lease_that_ran_out_is_taken_over_and_its_late_holder_loses(
    database: Database, tenant: TenantFixture
) -> None:
    owner = owner_of(tenant)
    async with database.transaction(tenant.access) as session:
        crashed = await idempotency.claim(session, owner)
        assert isinstance(crashed, Leased)
    async with database.transaction(tenant.access) as session:
        assert isinstance(await idempotency.claim(session, owner), InFlight)
    await age(database, tenant, lease_until=timedelta(seconds=1))
    async with database.transaction(tenant.access) as session:
        second = await idempotency.claim(session, owner)
        assert isinstance(second, Leased)
        assert not await idempotency.complete(session, owner, crashed.token, ANSWER)
        assert await idempotency.complete(session, owner, second.token, ANSWER)
    async with database.transaction(tenant.access) as session:
        assert await idempotency.claim(session, owner) == ANSWER


async def test_an_answer_is_forgotten_after_a_day(
    database: Database, tenant: TenantFixture
) -> None:
    owner = owner_of(tenant)
    async with database.transaction(tenant.access) as session:
        lease = await idempotency.claim(session, owner)
        assert isinstance(lease, Leased)
        assert await idempotency.complete(session, owner, lease.token, ANSWER)
    await age(database, tenant, created_at=timedelta(hours=25))
    async with database.transaction(tenant.access) as session:
        assert isinstance(await idempotency.claim(session, owner), Leased)


def request_of(key: str) -> Request:
    headers = [(HEADER.lower().encode(), key.encode())]
    scope = {"type": "http", "method": "POST", "path": "/v1/files", "headers": headers}
    return Request({**scope, "query_string": b"", "server": ("muniment.test", 80)})


def caller_of(tenant: TenantFixture) -> Caller:
    return Caller(tenant.tenant_id, tenant.principal_id, new_id(), frozenset(), is_admin=True)


async def test_an_answer_whose_transaction_failed_leaves_the_key_free(
    database: Database, tenant: TenantFixture
) -> None:
    async def answer(failure: Exception | None) -> None:
        async with idempotent(request_of("key"), caller_of(tenant), database) as attempt:
            assert attempt.replay(b"hash") is None
            async with database.transaction(tenant.access) as session:
                await attempt.complete(session, Answer(202, {"id": "1"}))
                if failure is not None:
                    raise failure

    with pytest.raises(DatabaseUnavailable):
        await answer(DatabaseUnavailable("lost while it committed"))
    await answer(None)
    async with idempotent(request_of("key"), caller_of(tenant), database) as attempt:
        assert attempt.replay(b"hash") is not None


async def test_an_answer_that_was_kept_stays_whatever_happens_afterwards(
    database: Database, tenant: TenantFixture
) -> None:
    async def answer_and_fail() -> None:
        async with idempotent(request_of("key"), caller_of(tenant), database) as attempt:
            attempt.replay(b"hash")
            async with database.transaction(tenant.access) as session:
                await attempt.complete(session, Answer(202, {"id": "1"}))
            raise DatabaseUnavailable("lost after it committed")

    with pytest.raises(DatabaseUnavailable):
        await answer_and_fail()
    async with idempotent(request_of("key"), caller_of(tenant), database) as attempt:
        assert attempt.replay(b"hash") is not None

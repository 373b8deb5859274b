"""Leases of idempotency keys: a crashed request frees its key, an old key is forgotten."""

from datetime import timedelta

from sqlalchemy import update

from db.models import IdempotencyKey, now
from db.queries import idempotency
from db.queries.idempotency import Answered, InFlight, KeyOwner, Leased
from db.session import Database
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

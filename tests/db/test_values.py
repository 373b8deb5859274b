"""A value that no column can hold, a statement that takes too long: told as such."""

import traceback

import pytest
from sqlalchemy import text

from db.models import Collection
from db.session import Database
from muniment.errors import DatabaseTooSlow, InvalidRequest
from tests.conftest import TenantFixture


async def test_a_text_that_cannot_be_held_is_refused_without_being_told(
    database: Database, tenant: TenantFixture
) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        async with database.transaction(tenant.access) as session:
            session.add(Collection(tenant_id=tenant.tenant_id, name="a person\0"))
    assert "a person" not in "".join(traceback.format_exception(refusal.value))


async def test_a_number_that_cannot_be_held_is_refused(
    database: Database, tenant: TenantFixture
) -> None:
    with pytest.raises(InvalidRequest, match="NumericValueOutOfRange"):
        async with database.transaction(tenant.access) as session:
            await session.execute(text("SELECT CAST(:number AS integer)"), {"number": 2**31})


async def test_a_statement_that_outlasts_its_time_is_told_from_a_lost_database(
    database: Database, tenant: TenantFixture
) -> None:
    async def sleep() -> None:
        async with database.transaction(tenant.access) as session:
            await session.execute(text("SET LOCAL statement_timeout = '50ms'"))
            await session.execute(text("SELECT pg_sleep(30)"))

    with pytest.raises(DatabaseTooSlow):
        await sleep()

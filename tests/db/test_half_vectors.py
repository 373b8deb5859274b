"""Vectors reach PostgreSQL in binary as the numbers that they are."""

import numpy as np
import pytest
from sqlalchemy import text

from db.half_vectors import HalfVectors, half_vector_oid
from db.session import Database
from muniment.errors import InvalidRequest
from tests.conftest import TenantFixture

_BACK = text("SELECT CAST(vector AS text) FROM unnest(CAST(:vectors AS halfvec[])) AS vector")
_AS_TEXT = text("SELECT CAST(CAST(:vector AS halfvec) AS text)")


@pytest.mark.parametrize(("count", "dimensions"), [(1, 1), (3, 384), (500, 192)])
async def test_they_are_the_same_as_when_they_are_written_as_text(
    database: Database, tenant: TenantFixture, count: int, dimensions: int
) -> None:
    rows = np.random.default_rng(7).normal(size=(count, dimensions)).astype(np.float32)
    async with database.transaction(tenant.access) as session:
        vectors = HalfVectors(rows, await half_vector_oid(session))
        stored = (await session.execute(_BACK, {"vectors": vectors})).scalars().all()
        written = await session.scalar(_AS_TEXT, {"vector": str(rows[-1].tolist())})
    assert len(stored) == count
    assert stored[-1] == written


async def test_what_is_no_number_is_refused(database: Database, tenant: TenantFixture) -> None:
    rows = np.full((1, 4), np.nan, np.float32)

    async def write() -> None:
        async with database.transaction(tenant.access) as session:
            vectors = HalfVectors(rows, await half_vector_oid(session))
            await session.execute(_BACK, {"vectors": vectors})

    with pytest.raises(InvalidRequest):
        await write()

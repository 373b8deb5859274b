"""How far a listing came is known while it goes on, and forgotten with its end."""

import pytest
from sqlalchemy import select, text
from sqlmodel import col

from db.models import Batch, new_id
from db.queries import batches, imports
from db.queries.imports import ListedObject
from db.session import Database
from muniment.contracts.ingest_batch import BatchState
from tests.conftest import TenantFixture

NAME = "leave of a person.pdf"


@pytest.fixture
async def listing(database: Database, tenant: TenantFixture) -> Batch:
    """A batch whose listing came to one object."""
    batch = Batch(
        id=new_id(),
        tenant_id=tenant.tenant_id,
        workflow_id=f"batch-{new_id()}",
        state="running",
        total=0,
        requested_by=tenant.principal_id,
        source="inbox",
        collection_id=tenant.collection_id,
    )
    async with database.transaction(tenant.system) as session:
        session.add(batch)
    assert await note(database, tenant, batch, None, NAME)
    assert await listed_to(database, tenant, batch) == NAME
    return batch


async def note(
    database: Database, tenant: TenantFixture, batch: Batch, after: str | None, key: str
) -> bool:
    async with database.transaction(tenant.system) as session:
        return await imports.note_page(session, batch.id, after, [ListedObject(key, 1, None)])


async def listed_to(database: Database, tenant: TenantFixture, batch: Batch) -> str | None:
    async with database.transaction(tenant.system) as session:
        query = select(col(Batch.listed_to)).where(col(Batch.id) == batch.id)
        return (await session.execute(query)).scalar_one()


async def test_a_listing_that_is_complete_keeps_no_name(
    database: Database, tenant: TenantFixture, listing: Batch
) -> None:
    async with database.transaction(tenant.system) as session:
        await imports.finish_listing(session, listing.id)
    assert await listed_to(database, tenant, listing) is None
    assert not await note(database, tenant, listing, None, "another.pdf")


async def test_a_batch_that_ended_while_it_was_listed_keeps_no_name(
    database: Database, tenant: TenantFixture, listing: Batch
) -> None:
    async with database.transaction(tenant.system) as session:
        assert await batches.record_state(session, listing.id, BatchState.CANCELLED)
    assert await listed_to(database, tenant, listing) is None
    assert not await note(database, tenant, listing, NAME, "another.pdf")
    assert not await note(database, tenant, listing, None, "another.pdf")


async def test_a_batch_outlives_the_collection_it_was_for(
    database: Database, tenant: TenantFixture, listing: Batch
) -> None:
    async with database.transaction(tenant.access) as session:
        await session.execute(
            text("DELETE FROM collection WHERE id = :id"), {"id": tenant.collection_id}
        )
    async with database.transaction(tenant.system) as session:
        kept = await session.get_one(Batch, listing.id)
        assert kept.collection_id is None
        assert kept.tenant_id == tenant.tenant_id

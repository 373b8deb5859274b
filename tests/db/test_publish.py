"""Publishing: the later of two versions is what readers see; equal texts are looked up once."""

import asyncio
import time
from uuid import UUID

import numpy as np
import psycopg
import pytest

from db.models import new_id
from db.queries.index_versions import IndexModel, VectorsLacking, entered_by
from db.queries.publish import (
    NewChunk,
    PublishTarget,
    delete_chunks,
    known_vectors,
    lock_target,
    replace_chunks,
)
from db.session import Database
from muniment.contracts.base import VersionReference
from muniment.contracts.documents import Chunk
from tests.conftest import TenantFixture
from tests.db.test_members import add_file, add_version, until_waiting


async def test_a_version_that_waited_for_a_later_one_to_be_published_is_not_the_newest(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        file_id = add_file(connection, tenant, None, None)
        first, second = [
            add_version(connection, tenant, file_id, number=number) for number in (1, 2)
        ]
    reference = VersionReference(
        tenant_id=tenant.tenant_id, file_id=file_id, version_id=first, job_id=new_id()
    )

    async def locked() -> PublishTarget | None:
        async with database.transaction(tenant.system) as session:
            return await lock_target(session, reference)

    with psycopg.connect(postgres_dsn) as publishing:
        publishing.execute("SELECT 1 FROM file WHERE id = %s FOR UPDATE", (file_id,))
        locking = asyncio.create_task(locked())
        await until_waiting(postgres_dsn)
        publishing.execute("UPDATE file_version SET published_at = now() WHERE id = %s", (second,))
        publishing.execute("UPDATE file SET current_version = 2 WHERE id = %s", (file_id,))
    target = await locking
    assert target is not None
    assert not target.is_newest


async def test_a_text_that_stands_ten_thousand_times_is_looked_up_once(
    database: Database, tenant: TenantFixture, postgres_dsn: str
) -> None:
    """As of a file of a million equal elements; all its vectors would outlast the statement's
    time."""
    with psycopg.connect(postgres_dsn) as connection:
        file_id = add_file(connection, tenant, None, None)
        version_id = add_version(connection, tenant, file_id)
    reference = VersionReference(
        tenant_id=tenant.tenant_id, file_id=file_id, version_id=version_id, job_id=new_id()
    )
    model = IndexModel(model_id="a", model_version="1", dimensions=384)
    chunk = Chunk(ordinal=0, text="again", token_count=1, headings=(), pages=(1,), boxes=())
    hashes = [*[b"again"] * 10_000, b"once"]
    async with database.transaction(tenant.system) as session:
        (index,) = await entered_by(session, tenant.tenant_id, [model], [model])
        chunks = [
            NewChunk(chunk.model_copy(update={"ordinal": number}), text_hash)
            for number, text_hash in enumerate(hashes)
        ]
        vectors = np.ones((len(hashes), 384), np.float32)
        await replace_chunks(session, reference, chunks, {index: vectors})

        async def seconds(wanted: list[bytes]) -> float:
            began = time.perf_counter()
            known = await known_vectors(session, [*wanted, b"new"], model)
            assert known.keys() == set(wanted)
            assert all(vector.tolist() == [1.0] * 384 for vector in known.values())
            return time.perf_counter() - began

        many = [await seconds(hashes) for _ in range(5)]
        one = [await seconds([b"once"]) for _ in range(5)]
    assert min(many) < 10 * min(one)


async def test_a_vector_is_known_until_the_last_text_that_it_was_made_of_is_gone(
    database: Database, tenant: TenantFixture, other_tenant: TenantFixture, postgres_dsn: str
) -> None:
    """So that it is made once, and never outlives what it was made of."""
    model = IndexModel(model_id="a", model_version="1", dimensions=384)
    references = []
    with psycopg.connect(postgres_dsn) as connection:
        for _ in range(2):
            file_id = add_file(connection, tenant, None, None)
            version_id = add_version(connection, tenant, file_id)
            references.append(
                VersionReference(
                    tenant_id=tenant.tenant_id,
                    file_id=file_id,
                    version_id=version_id,
                    job_id=new_id(),
                )
            )
    chunk = Chunk(ordinal=0, text="the same", token_count=2, headings=(), pages=(1,), boxes=())
    async with database.transaction(tenant.system) as session:
        (index,) = await entered_by(session, tenant.tenant_id, [model], [model])
        for reference in references:
            new = [NewChunk(chunk, b"the same")]
            await replace_chunks(session, reference, new, {index: np.ones((1, 384), np.float32)})
    async with database.transaction(other_tenant.system) as session:
        assert await known_vectors(session, [b"the same"], model) == {}
    for reference, still_known in zip(references, (True, False), strict=True):
        async with database.transaction(tenant.system) as session:
            assert await known_vectors(session, [b"the same"], model)
            await delete_chunks(session, reference.file_id)
            assert bool(await known_vectors(session, [b"the same"], model)) is still_known


@pytest.mark.parametrize(
    "other",
    [IndexModel("b", "1", 384), IndexModel("a", "1", 3), IndexModel("a", "2", 384)],
    ids=["model", "dimensions", "version"],
)
async def test_vectors_of_another_model_do_not_enter_the_index(
    database: Database, tenant: TenantFixture, other: IndexModel
) -> None:
    """Where a release has another model than the index, what it publishes enters the one that is to come."""
    model = IndexModel("a", "1", 384)
    async with database.transaction(tenant.system) as session:
        (first,) = await entered_by(session, tenant.tenant_id, [model], [model])
        with pytest.raises(VectorsLacking):
            await entered_by(session, tenant.tenant_id, [other], [other, model])
        entered = await entered_by(session, tenant.tenant_id, [other], [other])
        assert list(entered.values()) == [other]
        assert first not in entered
        assert await entered_by(session, tenant.tenant_id, [other], [other]) == entered
        both = await entered_by(session, tenant.tenant_id, [other, model], [other, model])
        assert both == {first: model, **entered}


async def test_publications_at_once_make_one_index(
    database: Database, tenant: TenantFixture
) -> None:
    async def entered(model: IndexModel) -> list[UUID]:
        async with database.transaction(tenant.system) as session:
            return [*await entered_by(session, tenant.tenant_id, [model], [model])]

    old, new = IndexModel("a", "1", 3), IndexModel("a", "2", 3)
    first = await asyncio.gather(*(entered(old) for _ in range(4)))
    following = await asyncio.gather(*(entered(new) for _ in range(4)))
    assert len({*map(tuple, first)}) == len({*map(tuple, following)}) == 1
    assert first[0] != following[0]

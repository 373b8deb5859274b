"""Batches of objects on a real server: each becomes one file, and what cannot is named."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest

from activities.batch.imports import ImportLimits, Imports
from db.models import Batch, new_id
from db.queries import batches, erasure, imports
from db.queries.quotas import Quota
from db.session import Access
from muniment.contracts.ingest_batch import BatchState, IngestBatchInput, RunningFile, workflow_id
from muniment.contracts.ingest_file import retry_workflow_id
from muniment.errors import SourceUnavailable
from muniment.objects import connect_s3
from muniment.objects.importing import (
    FolderImportSource,
    FoundObject,
    ImportSource,
    S3ImportSource,
)
from tests.conformance.s3_server import serving_s3
from tests.conftest import make_tenant
from tests.workflows.workshop import TenantIds, Workshop
from workflows import policies
from workflows.ingest_batch import IngestBatch
from workflows.starting import start_batch

pytestmark = pytest.mark.asyncio(loop_scope="session")
LIMITS = ImportLimits(max_objects=1_000, max_bytes=1_000_000, default_quota=Quota())


class Importing:
    """A tenant's batches from one source, and what came of them."""

    def __init__(
        self,
        workshop: Workshop,
        owner: TenantIds,
        source: ImportSource,
        limits: ImportLimits = LIMITS,
    ) -> None:
        self.workshop = workshop
        self.owner = owner
        parts = workshop.parts
        self.activities = Imports(
            workshop.database, parts.artifacts, workshop.stores.blobs, {"place": source}, limits
        )

    async def add(self, prefix: str = "", source: str = "place") -> Batch:
        """The batch's row, of which no workflow knows."""
        batch_id = new_id()
        batch = Batch(
            id=batch_id, tenant_id=self.owner.tenant_id, workflow_id=workflow_id(batch_id),
            state="queued", total=0, requested_by=self.owner.principal_id, source=source,
            prefix=prefix, collection_id=self.owner.collection_id,
        )  # fmt: skip
        async with self.workshop.database.transaction(Access(self.owner.tenant_id)) as session:
            session.add(batch)
        return batch

    async def start(self, prefix: str = "", source: str = "place") -> Batch:
        batch = await self.add(prefix, source)
        request = IngestBatchInput(tenant_id=batch.tenant_id, batch_id=batch.id, imports=True)
        await start_batch(self.workshop.client, batch.workflow_id, request)
        return batch

    async def result(self, batch: Batch) -> BatchState:
        handle = self.workshop.client.get_workflow_handle(batch.workflow_id, result_type=BatchState)
        async with asyncio.timeout(300):
            return await handle.result()

    async def run(self, prefix: str = "", source: str = "place") -> Batch:
        """The batch's row once it is over."""
        activities = [self.activities.list_objects, self.activities.take_in_objects]
        async with self.workshop.working(replacing=activities):
            batch = await self.start(prefix, source)
            assert await self.result(batch) is BatchState.COMPLETED
        return await self.row(batch)

    async def row(self, batch: Batch) -> Batch:
        async with self.workshop.database.transaction(Access(batch.tenant_id)) as session:
            found = await batches.get_batch(session, batch.id)
        assert found is not None
        return found

    async def counts(self, batch: Batch) -> batches.BatchCounts:
        async with self.workshop.database.transaction(Access(batch.tenant_id)) as session:
            return (await batches.counts_of(session, [batch.id]))[batch.id]

    async def left_out(self, batch: Batch) -> dict[str, str]:
        async with self.workshop.database.transaction(Access(batch.tenant_id)) as session:
            return {
                each.name: each.problem for each in await imports.left_out(session, batch.id, 9)
            }


def files_of(dsn: str, owner: TenantIds) -> list[tuple[str, str]]:
    """Names and states of the tenant's files."""
    with psycopg.connect(dsn) as connection:
        return connection.execute(
            "SELECT name, state FROM file WHERE tenant_id = %s ORDER BY name", (owner.tenant_id,)
        ).fetchall()


def write(root: Path, *keys: str) -> Path:
    for key in keys:
        (root / key).parent.mkdir(parents=True, exist_ok=True)
        (root / key).write_text(f"Words of {key}.")
    return root


async def test_a_prefix_of_a_bucket_becomes_files_once(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    with serving_s3(tmp_path / "s3") as server:
        client = connect_s3(server.endpoint, server.access_key, server.secret_key, secure=False)
        bucket = f"bucket-{uuid4().hex}"
        client.make_bucket(bucket)
        write(server.folder / bucket, "in/2024/a.txt", "in/2024/b/c.txt", "in/2025/d.txt", "e.txt")
        importing = Importing(workshop, owner, S3ImportSource(client, bucket, "in/"))
        first = await importing.run("2024/")
        again = await importing.run("2024/")
        client._http.clear()
    assert files_of(postgres_dsn, owner) == [("2024/a.txt", "ready"), ("2024/b/c.txt", "ready")]
    for batch in (first, again):
        assert (batch.total, batch.truncated, batch.problem) == (2, False, None)
        assert await importing.counts(batch) == batches.BatchCounts(done=2)
    with psycopg.connect(postgres_dsn) as connection:
        acts = connection.execute(
            "SELECT actor_id FROM audit_event WHERE action = 'file.imported' AND tenant_id = %s",
            (owner.tenant_id,),
        ).fetchall()
    assert acts == [(owner.principal_id,)] * 2


class Vanishing(FolderImportSource):
    """A folder from which one file goes, and one grows, after they were listed."""

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        if key == "gone.txt":
            (self._root / key).unlink(missing_ok=True)
        if key == "grown.txt":
            (self._root / key).write_bytes(b"x" * 2_000_000)
        async for chunk in super().read(key):
            yield chunk


async def test_what_cannot_be_taken_in_is_counted_and_named(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    root = write(tmp_path, "a.txt", "gone.txt", "grown.txt", "z.txt")
    (root / "big.txt").write_bytes(b"x" * 2_000_000)
    (root / "link.txt").symlink_to("/etc/passwd")
    importing = Importing(workshop, owner, Vanishing(root))
    batch = await importing.run()
    assert [name for name, _ in files_of(postgres_dsn, owner)] == ["a.txt", "z.txt"]
    assert await importing.counts(batch) == batches.BatchCounts(done=2, failed=3)
    assert await importing.left_out(batch) == {
        "big.txt": "content-too-large",
        "gone.txt": "object-missing",
        "grown.txt": "content-too-large",
    }


async def test_a_batch_is_bounded_and_says_so(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    write(tmp_path, *(f"{number:02}.txt" for number in range(5)))
    importing = Importing(
        workshop, owner, FolderImportSource(tmp_path), ImportLimits(3, 1_000, Quota())
    )
    batch = await importing.run()
    assert (batch.total, batch.truncated) == (3, True)
    assert len(files_of(postgres_dsn, owner)) == 3


async def test_a_source_that_was_taken_away_ends_the_batch_with_its_problem(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    importing = Importing(workshop, owner, FolderImportSource(tmp_path))
    batch = await importing.run(source="former")
    assert (batch.total, batch.problem, batch.state) == (0, "not-found", "completed")


async def test_files_come_in_under_the_rights_of_whoever_asked(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    """The collection is another tenant's: nothing of it is seen or written."""
    stranger = make_tenant(postgres_dsn)
    write(tmp_path, "a.txt")
    foreign = TenantIds(owner.tenant_id, stranger.collection_id, owner.principal_id)
    importing = Importing(workshop, foreign, FolderImportSource(tmp_path))
    batch = await importing.run()
    assert await importing.left_out(batch) == {"a.txt": "forbidden"}
    assert files_of(postgres_dsn, owner) == []


class HandingOver(FolderImportSource):
    """While its first file is read, whoever asked for the batch hands it over and is gone."""

    def __init__(self, root: Path, dsn: str, former: UUID, heir: UUID) -> None:
        super().__init__(root)
        self._dsn, self._former, self._heir = dsn, former, heir

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        async for chunk in super().read(key):
            yield chunk
        with psycopg.connect(self._dsn) as connection:
            connection.execute(
                "UPDATE batch SET requested_by = %s WHERE requested_by = %s",
                (self._heir, self._former),
            )
            connection.execute(
                "UPDATE principal SET is_admin = false, disabled_at = now() WHERE id = %s",
                (self._former,),
            )


async def test_what_is_taken_in_after_a_hand_over_is_the_successors(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "UPDATE collection SET visibility = 'private', owner_id = NULL WHERE id = %s"
            " RETURNING (SELECT name FROM tenant WHERE id = tenant_id)",
            (owner.collection_id,),
        ).fetchone()
    assert row is not None
    heir = make_tenant(postgres_dsn, row[0], principal="heir").principal_id
    write(tmp_path, "a.txt")
    source = HandingOver(tmp_path, postgres_dsn, owner.principal_id, heir)
    importing = Importing(workshop, owner, source)
    batch = await importing.run()
    assert await importing.left_out(batch) == {}
    with psycopg.connect(postgres_dsn) as connection:
        owners = connection.execute(
            "SELECT file.owner_id, job.requested_by FROM file JOIN job ON job.file_id = file.id"
            " WHERE file.tenant_id = %s",
            (owner.tenant_id,),
        ).fetchall()
    assert owners == [(heir, heir)]


class Breaking(FolderImportSource):
    """Away for its first listings; afterwards one file is never handed out."""

    outages = 2

    async def list(
        self, prefix: str, after: str | None
    ) -> AsyncGenerator[tuple[FoundObject, ...], None]:
        async for page in super().list(prefix, after):
            for found in page:
                yield (found,)
                if self.outages:
                    self.outages -= 1
                    raise SourceUnavailable("The source is away.")

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        if key == "broken.txt":
            raise SourceUnavailable("The source failed.")
        async for chunk in super().read(key):
            yield chunk


async def test_a_listing_is_resumed_and_one_broken_object_holds_up_no_other(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    write(tmp_path, "a.txt", "b.txt", "broken.txt", "c.txt")
    importing = Importing(workshop, owner, Breaking(tmp_path))
    batch = await importing.run()
    assert [name for name, _ in files_of(postgres_dsn, owner)] == ["a.txt", "b.txt", "c.txt"]
    assert await importing.left_out(batch) == {"broken.txt": "source-unavailable"}


class Stalling(FolderImportSource):
    """Hands out nothing of what it has, after the first file."""

    async def read(self, key: str) -> AsyncGenerator[bytes, None]:
        if key != "0.txt":
            await asyncio.sleep(60)
        async for chunk in super().read(key):
            yield chunk


async def test_cancelling_ends_a_transfer_and_what_it_has_begun(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    write(tmp_path, *(f"{number}.txt" for number in range(6)))
    importing = Importing(workshop, owner, Stalling(tmp_path))
    activities = [importing.activities.list_objects, importing.activities.take_in_objects]
    async with workshop.working(replacing=activities):
        batch = await importing.start()
        async with asyncio.timeout(120):
            while not files_of(postgres_dsn, owner):  # noqa: ASYNC110 - another process's rows
                await asyncio.sleep(0.05)
        handle = workshop.client.get_workflow_handle(batch.workflow_id, result_type=BatchState)
        await handle.execute_update(IngestBatch.cancel)
        assert await importing.result(batch) is BatchState.CANCELLED
    counts = await importing.counts(batch)
    assert (counts.queued, counts.done + counts.cancelled) == (5, 1)
    assert len(files_of(postgres_dsn, owner)) == 1


async def test_a_full_window_leaves_only_small_payloads_in_its_history(
    workshop: Workshop, owner: TenantIds, tmp_path: Path
) -> None:
    write(tmp_path, *(f"{number:03}.txt" for number in range(40)))
    importing = Importing(workshop, owner, FolderImportSource(tmp_path))
    assert policies.BATCH_WINDOW == 32
    batch = await importing.run()
    assert await importing.counts(batch) == batches.BatchCounts(done=40)
    history = await workshop.client.get_workflow_handle(batch.workflow_id).fetch_history()
    assert max(event.ByteSize() for event in history.events) < 16 * 1024
    # What it carries over when it continues as new.
    carried = IngestBatchInput(
        tenant_id=batch.tenant_id,
        batch_id=batch.id,
        imports=True,
        listed=True,
        running=tuple(
            RunningFile(job_id=new_id(), workflow_id=retry_workflow_id(new_id(), new_id()))
            for _ in range(policies.BATCH_WINDOW)
        ),
    )
    (payload,) = await workshop.client.data_converter.encode([carried])
    assert payload.ByteSize() < 16 * 1024


async def test_an_erased_file_leaves_no_name_in_its_batch(
    workshop: Workshop, owner: TenantIds, postgres_dsn: str, tmp_path: Path
) -> None:
    write(tmp_path, "a.txt")
    importing = Importing(workshop, owner, FolderImportSource(tmp_path))
    await importing.run()
    with psycopg.connect(postgres_dsn) as connection:
        query = "SELECT file_id, object_key FROM batch_item WHERE tenant_id = %s"
        found = connection.execute(query, (owner.tenant_id,)).fetchone()
        assert found is not None
        file_id: UUID = found[0]
        assert found[1] == "a.txt"
        async with workshop.database.transaction(Access(owner.tenant_id)) as session:
            await erasure.erase_import_names(session, file_id)
        connection.rollback()
        assert connection.execute(query, (owner.tenant_id,)).fetchone() == (file_id, "")

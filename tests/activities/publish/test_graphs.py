"""An index version gets its graph when what is published makes it large, once."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

import numpy as np
import psycopg
import pytest

from activities.artifacts import Artifacts
from activities.publish import graphs
from activities.publish.graphs import prepare_index
from activities.stage import StageRunner
from bench.vector_set import VectorTenant, add_passages, add_tenant
from db.queries.publish import IndexModel
from db.session import Database
from db.vector_graphs import make_missing
from muniment.contracts.base import VersionReference
from muniment.embedding import DIMENSIONS, MODEL_ID, MODEL_VERSION
from muniment.objects import BlobStore, FilesystemObjectStore
from muniment.sealing import KeyFile
from tests.conftest import TenantFixture
from tests.patience import on_a_busy_machine
from tests.worker.jobs import commit_job

MODEL = IndexModel(MODEL_ID, MODEL_VERSION, DIMENSIONS)
GRAPH_FROM = 100


@pytest.fixture
def runner(database: Database, tmp_path: Path) -> StageRunner:
    objects = FilesystemObjectStore(tmp_path / "objects")
    blobs = BlobStore(objects, KeyFile(tmp_path / "keys.json"), objects)
    return StageRunner(database, Artifacts(database, blobs))


@pytest.fixture
async def version(
    database: Database, tenant: TenantFixture, monkeypatch: pytest.MonkeyPatch
) -> VersionReference:
    monkeypatch.setattr(graphs, "GRAPH_FROM", GRAPH_FROM)
    job = await commit_job(database, tenant, startable=True)
    assert job.file_id is not None
    assert job.version_id is not None
    return VersionReference(
        tenant_id=tenant.tenant_id, file_id=job.file_id, version_id=job.version_id, job_id=job.id
    )


@contextmanager
def filled(dsn: str, tenant: TenantFixture, count: int) -> Iterator[VectorTenant]:
    """A tenant with so many passages; the graph over them goes with the block."""
    with psycopg.connect(dsn) as connection:
        added = add_tenant(connection, tenant.tenant_id, tenant.collection_id)
        vectors = np.random.default_rng(1).normal(size=(count, DIMENSIONS)).astype(np.float32)
        add_passages(connection, added, iter([vectors]))
    yield added
    with psycopg.connect(dsn) as connection:
        connection.execute(f"DROP INDEX IF EXISTS embedding_graph_{added.index_version_id.hex}")


def graphs_of(dsn: str, added: VectorTenant) -> int:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT has_vector_graph(%s)::int", (added.index_version_id,)
        ).fetchone()
    return int(row[0]) if row else 0


def tried_at(dsn: str, added: VectorTenant) -> datetime | None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT graph_tried_at FROM index_version WHERE id = %s", (added.index_version_id,)
        ).fetchone()
    assert row is not None
    found: datetime | None = row[0]
    return found


def minutes_later(dsn: str, added: VectorTenant) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute(
            "UPDATE index_version SET graph_tried_at = graph_tried_at - interval '11 minutes'"
            " WHERE id = %s",
            (added.index_version_id,),
        )


@pytest.mark.parametrize(("new_chunks", "made"), [(9, 0), (10, 1)])
async def test_the_publication_that_makes_an_index_large_makes_its_graph_first(
    runner: StageRunner,
    version: VersionReference,
    tenant: TenantFixture,
    postgres_dsn: str,
    new_chunks: int,
    made: int,
) -> None:
    with filled(postgres_dsn, tenant, GRAPH_FROM - 10) as added:
        await prepare_index(runner, version, MODEL, new_chunks)
        assert graphs_of(postgres_dsn, added) == made


@pytest.mark.parametrize(
    ("statement", "refusal"),
    [
        ("UPDATE job SET finished_at = now() WHERE id = %(job)s", "has ended"),
        ("UPDATE file SET state = 'erasing' WHERE id = %(file)s", "erased"),
        (
            "INSERT INTO file_version (id, tenant_id, file_id, number, blob_id, name, size, sha256,"
            " declared_media_type, published_at, created_at)"
            " SELECT gen_random_uuid(), tenant_id, file_id, 2, blob_id, name, size, sha256,"
            " declared_media_type, now(), now() FROM file_version WHERE file_id = %(file)s",
            None,
        ),
    ],
    ids=["ended", "erased", "older"],
)
async def test_what_will_not_be_shown_prepares_nothing(
    runner: StageRunner,
    version: VersionReference,
    tenant: TenantFixture,
    postgres_dsn: str,
    statement: str,
    refusal: str | None,
) -> None:
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(statement, {"job": version.job_id, "file": version.file_id})
    with pytest.raises(Exception, match=refusal) if refusal else nullcontext():
        await prepare_index(runner, version, MODEL, GRAPH_FROM)
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT count(*) FROM index_version WHERE tenant_id = %s", (tenant.tenant_id,)
        ).fetchone()
    assert row == (0,)


async def test_publications_at_once_make_one_graph(
    runner: StageRunner, version: VersionReference, tenant: TenantFixture, postgres_dsn: str
) -> None:
    with filled(postgres_dsn, tenant, GRAPH_FROM) as added:
        await asyncio.gather(*(prepare_index(runner, version, MODEL, 1) for _ in range(4)))
        assert graphs_of(postgres_dsn, added) == 1


async def test_a_first_publication_that_is_large_has_its_graph_before_its_vectors(
    runner: StageRunner,
    version: VersionReference,
    database: Database,
    tenant: TenantFixture,
    postgres_dsn: str,
) -> None:
    await prepare_index(runner, version, MODEL, GRAPH_FROM)
    with psycopg.connect(postgres_dsn) as connection:
        row = connection.execute(
            "SELECT id, has_vector_graph(id) FROM index_version WHERE tenant_id = %s",
            (tenant.tenant_id,),
        ).fetchone()
        assert row is not None
        connection.execute(f"DROP INDEX IF EXISTS embedding_graph_{row[0].hex}")
    assert row[1]


async def test_a_graph_that_others_hold_up_lets_them_through_and_waits_for_some_minutes(
    runner: StageRunner, version: VersionReference, tenant: TenantFixture, postgres_dsn: str
) -> None:
    waits = []
    with filled(postgres_dsn, tenant, GRAPH_FROM) as added:
        with psycopg.connect(postgres_dsn) as publishing:
            publishing.execute("LOCK TABLE embedding IN ROW EXCLUSIVE MODE")
            preparing = asyncio.create_task(prepare_index(runner, version, MODEL, 1))
            while not preparing.done():
                began = time.monotonic()
                await asyncio.to_thread(publish_briefly, postgres_dsn)
                waits.append(time.monotonic() - began)
            await preparing
        assert max(waits) < on_a_busy_machine(2)
        assert graphs_of(postgres_dsn, added) == 0
        await prepare_index(runner, version, MODEL, 1)
        assert graphs_of(postgres_dsn, added) == 0
        minutes_later(postgres_dsn, added)
        await prepare_index(runner, version, MODEL, 1)
        assert graphs_of(postgres_dsn, added) == 1


def publish_briefly(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE embedding IN ROW EXCLUSIVE MODE")


async def test_a_graph_that_is_not_ready_in_time_is_not_tried_by_each_publication(
    runner: StageRunner,
    version: VersionReference,
    tenant: TenantFixture,
    application_dsn: str,
    postgres_dsn: str,
) -> None:
    hurried = Database(application_dsn, pool_size=1, statement_timeout_seconds=0.3)
    with filled(postgres_dsn, tenant, 4000) as added:
        await prepare_index(StageRunner(hurried, runner.artifacts), version, MODEL, 1)
        first = tried_at(postgres_dsn, added)
        await prepare_index(runner, version, MODEL, 1)
        assert (graphs_of(postgres_dsn, added), tried_at(postgres_dsn, added)) == (0, first)
    assert first is not None
    await hurried.close()


async def test_a_graph_that_would_take_too_long_is_left_to_the_operator(
    runner: StageRunner,
    version: VersionReference,
    tenant: TenantFixture,
    postgres_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(graphs, "TOO_LARGE", GRAPH_FROM)
    with filled(postgres_dsn, tenant, GRAPH_FROM) as added:
        await prepare_index(runner, version, MODEL, 1)
        await prepare_index(runner, version, MODEL, 1)
        assert graphs_of(postgres_dsn, added) == 0
        told = [record for record in caplog.records if record.levelname == "ERROR"]
        assert ["python -m db.vector_graphs" in record.getMessage() for record in told] == [True]
        assert make_missing(postgres_dsn, graph_from=GRAPH_FROM) == 0
        assert graphs_of(postgres_dsn, added) == 1

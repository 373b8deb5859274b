"""An index with a graph: what it finds, under which filters, and for whom."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import psycopg
import pytest
from sqlalchemy import text

from bench.vector_set import RARE_LABEL, VectorTenant, add_passages, add_tenant, varied
from db.queries import vectors
from db.queries.search import FileFilter, MetadataCondition, MetadataOperator
from db.session import Access, Database
from muniment.embedding import Embedder
from retrieval import vector as searching
from retrieval.vector import Vector, VectorResult, VectorsUnavailable, search_vectors
from tests.conftest import TenantFixture, make_tenant

PASSAGES = 6000


def before(year: int) -> FileFilter:
    """Years are spread evenly over a century."""
    return FileFilter(metadata=(MetadataCondition("year", MetadataOperator.LESS, year),))


def unit(rows: Vector) -> Vector:
    lengths: Vector = np.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / lengths


def base() -> Vector:
    """Clusters in few directions, as texts have them; of the model's dimensions."""
    generator = np.random.default_rng(7)
    directions = generator.normal(size=(24, 384)).astype(np.float32)
    return unit(generator.normal(size=(400, 24)).astype(np.float32) @ directions)


@dataclass(frozen=True)
class Large:
    """A tenant with a graph over its passages, beside one of the same size without."""

    owner: TenantFixture
    other: TenantFixture
    tenant: VectorTenant


def fill(dsn: str, owner: TenantFixture, seed: int, *, graph: bool) -> VectorTenant:
    with psycopg.connect(dsn) as connection:
        tenant = add_tenant(connection, owner.tenant_id, owner.collection_id)
        add_passages(connection, tenant, varied(base(), PASSAGES, seed))
        connection.execute("SELECT set_config('app.tenant', %s, true)", (str(owner.tenant_id),))
        if graph:
            connection.execute("SELECT make_vector_graph(%s)", (tenant.index_version_id,))
    return tenant


@pytest.fixture(scope="module")
def large(postgres_dsn: str) -> Iterator[Large]:
    owner, other = make_tenant(postgres_dsn), make_tenant(postgres_dsn)
    tenant = fill(postgres_dsn, owner, 1, graph=True)
    fill(postgres_dsn, other, 1, graph=False)
    yield Large(owner, other, tenant)
    # Other tests of the session insert into this table too.
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(f"DROP INDEX embedding_graph_{tenant.index_version_id.hex}")


@pytest.fixture
def questions() -> Vector:
    return np.concatenate(list(varied(base(), 12, 99)))


async def exactly(
    database: Database, access: Access, question: Vector, wanted: FileFilter
) -> list[UUID]:
    async with database.transaction(access) as session:
        index = await vectors.active_index(session)
        assert index is not None
        found = await vectors.nearest_exactly(
            session, [float(value) for value in question], index, wanted, max_chunks=200, most=None
        )
    assert found is not None
    return [chunk.chunk_id for chunk in found]


def agreement(result: VectorResult, exact: list[UUID], depth: int = 10) -> float:
    return len(set(list(result.scores)[:depth]) & set(exact[:depth])) / min(depth, len(exact))


@pytest.mark.parametrize(
    "wanted", [FileFilter(), before(1950), before(1920)], ids=["all", "half", "a fifth"]
)
async def test_the_graph_finds_what_measuring_all_finds(
    database: Database, embedder: Embedder, large: Large, questions: Vector, wanted: FileFilter
) -> None:
    agreements = []
    for question in questions:
        result = await search_vectors(database, large.owner.access, embedder, question, wanted)
        exact = await exactly(database, large.owner.access, question, wanted)
        assert len(result.scores) == len(exact) == 200
        assert not result.truncated
        assert list(result.scores.values()) == sorted(result.scores.values(), reverse=True)
        agreements.append(agreement(result, exact))
    assert np.mean(agreements) >= 0.95


async def test_no_plan_that_statistics_make_loses_the_order_of_the_graph(
    database: Database, embedder: Embedder, large: Large, questions: Vector, postgres_dsn: str
) -> None:
    """What PostgreSQL counted long ago: hardly a passage, and vectors without end."""
    counted = "UPDATE pg_class SET reltuples = %s, relpages = %s WHERE relname = %s RETURNING 1"
    former = "SELECT reltuples, relpages FROM pg_class WHERE relname = %s"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        known = {
            name: connection.execute(former, (name,)).fetchone() for name in ("chunk", "embedding")
        }
        connection.execute(counted, (1, 10_000, "chunk"))
        connection.execute(counted, (10_000_000, 1_000, "embedding"))
        try:
            agreements = []
            for question in questions[:4]:
                found = await search_vectors(
                    database, large.owner.access, embedder, question, before(1950)
                )
                exact = await exactly(database, large.owner.access, question, before(1950))
                agreements.append(agreement(found, exact))
        finally:
            for name, row in known.items():
                assert row is not None
                connection.execute(counted, (*row, name))
    assert np.mean(agreements) >= 0.9


@pytest.mark.parametrize("share", [searching.LEAST_WANTED_SHARE, 0.0], ids=["afar", "near"])
async def test_where_a_filter_leaves_few_passages_each_of_them_is_measured(
    database: Database,
    embedder: Embedder,
    large: Large,
    questions: Vector,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
) -> None:
    """Also those that lie near the question, so that the graph was walked further before."""
    monkeypatch.setattr(searching, "LEAST_WANTED_SHARE", share)
    rare = FileFilter(labels=(RARE_LABEL,))
    for question in questions[:3]:
        result = await search_vectors(database, large.owner.access, embedder, question, rare)
        exact = await exactly(database, large.owner.access, question, rare)
        assert list(result.scores) == exact
        assert len(exact) == 50
        assert not result.truncated


async def test_a_search_that_ends_before_it_found_enough_says_so(
    database: Database,
    embedder: Embedder,
    large: Large,
    questions: Vector,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(searching, "MEASURED_AT_MOST", 40)
    monkeypatch.setattr(searching, "VISITED_AT_MOST", 500)
    rare = FileFilter(labels=(RARE_LABEL,))
    result = await search_vectors(database, large.owner.access, embedder, questions[0], rare)
    assert len(result.scores) < 50
    assert result.truncated


async def test_nobody_finds_in_a_graph_what_is_not_theirs_to_read(
    database: Database, embedder: Embedder, large: Large, questions: Vector, postgres_dsn: str
) -> None:
    """Private to its owner but for a tenth, of which a part is in the trash."""
    reader = make_tenant(postgres_dsn, large.owner.name, principal="reader", is_admin=False)
    with psycopg.connect(postgres_dsn) as connection:
        connection.execute(
            "UPDATE collection SET visibility = 'private' WHERE id = %s",
            (large.owner.collection_id,),
        )
        connection.execute(
            "UPDATE file SET owner_id = CASE WHEN metadata @> '{\"year\": 1950}' THEN %s::uuid END,"
            " state = CASE WHEN metadata @> '{\"year\": 1951}' THEN 'trashed' ELSE 'ready' END"
            " WHERE tenant_id = %s",
            (reader.principal_id, large.owner.tenant_id),
        )
    try:
        ours = await search_vectors(
            database, large.owner.access, embedder, questions[0], FileFilter()
        )
        theirs = await search_vectors(database, reader.access, embedder, questions[0], FileFilter())
        strangers = await search_vectors(
            database, large.other.access, embedder, questions[0], FileFilter()
        )
        with psycopg.connect(postgres_dsn) as connection:
            rows = connection.execute(
                "SELECT chunk.id, metadata ->> 'year', chunk.tenant_id"
                " FROM chunk JOIN file ON file.id = chunk.file_id"
            ).fetchall()
        years = {row[0]: row[1] for row in rows}
        tenants = {row[0]: row[2] for row in rows}
        assert "1951" not in {years[chunk] for chunk in ours.scores}
        assert {years[chunk] for chunk in theirs.scores} == {"1950"}
        assert {tenants[chunk] for chunk in theirs.scores} == {large.owner.tenant_id}
        assert {tenants[chunk] for chunk in strangers.scores} == {large.other.tenant_id}
    finally:
        with psycopg.connect(postgres_dsn) as connection:
            connection.execute(
                "UPDATE file SET owner_id = NULL, state = 'ready' WHERE tenant_id = %s",
                (large.owner.tenant_id,),
            )


async def test_the_graph_answers_and_no_other_plan(
    database: Database, large: Large, questions: Vector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the planner knows nothing of the tables."""
    monkeypatch.setattr(vectors, "_BY_GRAPH", "EXPLAIN " + vectors._BY_GRAPH)
    async with database.transaction(large.owner.access) as session:
        index = await vectors.active_index(session)
        assert index is not None
        explained: list[str] = []
        run = session.execute

        async def listening(*arguments: object, **options: object) -> object:
            result = await run(*arguments, **options)  # type: ignore[call-overload]
            if str(arguments[0]).startswith("EXPLAIN"):
                explained.extend(row[0] for row in result)
                return []
            return result

        monkeypatch.setattr(session, "execute", listening)
        await vectors.nearest_by_graph(
            session,
            [float(value) for value in questions[0]],
            index,
            FileFilter(),
            max_chunks=10,
            max_visited=1000,
        )
    plan = "\n".join(explained)
    assert f"embedding_graph_{large.tenant.index_version_id.hex}" in plan
    assert "Sort" not in plan
    assert "Seq Scan" not in plan


async def test_another_model_than_the_index_is_of_takes_no_part(
    database: Database, embedder: Embedder, large: Large, questions: Vector
) -> None:
    with pytest.raises(VectorsUnavailable, match="another embedding model"):
        await search_vectors(
            database, large.owner.access, embedder, questions[0][:128], FileFilter()
        )


async def test_a_vector_of_other_dimensions_does_not_enter_an_index(
    large: Large, postgres_dsn: str
) -> None:
    with (
        psycopg.connect(postgres_dsn) as connection,
        pytest.raises(psycopg.errors.ForeignKeyViolation),
    ):
        connection.execute(
            "INSERT INTO embedding (chunk_id, index_version_id, tenant_id, vector)"
            " SELECT chunk.id, index_version.id, chunk.tenant_id, '[1,2,3]'"
            " FROM chunk, index_version"
            " WHERE chunk.tenant_id = %s AND index_version.tenant_id = %s LIMIT 1",
            (large.owner.tenant_id, large.other.tenant_id),
        )


async def test_nobody_makes_a_graph_over_the_index_of_another_tenant(
    database: Database, large: Large, tenant: TenantFixture
) -> None:
    async with database.transaction(large.other.system) as session:
        index = await vectors.active_index(session)
    assert index is not None
    async with database.transaction(tenant.system) as session:
        assert not await vectors.make_graph(session, index.id)
        assert not await session.scalar(
            text("SELECT count(*) FROM pg_indexes WHERE indexname = :name"),
            {"name": f"embedding_graph_{index.id.hex}"},
        )


async def test_vectors_that_are_late_cost_the_meaning_but_not_the_search(
    application_dsn: str,
    postgres_dsn: str,
    embedder: Embedder,
    large: Large,
    questions: Vector,
) -> None:
    hurried = Database(application_dsn, pool_size=1, statement_timeout_seconds=0.5)
    with psycopg.connect(postgres_dsn) as holding:
        holding.execute("LOCK TABLE embedding IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(VectorsUnavailable, match="took too long"):
            await search_vectors(hurried, large.other.access, embedder, questions[0], FileFilter())
    await hurried.close()

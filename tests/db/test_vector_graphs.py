"""What the migration to vector graphs does to a large index, there and back, and the graphs that an owner who
is no superuser makes afterwards."""

import numpy as np
import psycopg
import pytest

from bench.vector_set import VectorTenant, add_passages, add_tenant
from db import vector_graphs
from db.migrate import migrate
from db.models import new_id
from db.vector_graphs import make_missing
from muniment.embedding import DIMENSIONS
from muniment.errors import ConfigurationError
from tests.conftest import make_tenant
from tests.db.test_downgrades import dsn_of

LARGE = 10_000


def graphs(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        rows = connection.execute(
            "SELECT indexname FROM pg_indexes WHERE indexname LIKE 'embedding_graph_%'"
        ).fetchall()
    return [row[0] for row in rows]


def fill(dsn: str, count: int) -> VectorTenant:
    owner = make_tenant(dsn)
    generator = np.random.default_rng(2)
    with psycopg.connect(dsn) as connection:
        added = add_tenant(connection, owner.tenant_id, owner.collection_id)
        # Few directions: a graph over them is made quickly.
        batch = np.repeat(generator.normal(size=(1, DIMENSIONS)).astype(np.float32), count, axis=0)
        batch += 0.01 * generator.normal(size=(count, 1)).astype(np.float32)
        add_passages(connection, added, iter([batch]))
    return added


def test_the_upgrade_tells_of_large_indexes_and_their_owner_makes_their_graphs(
    owner_dsn: str, capsys: pytest.CaptureFixture[str]
) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    large, small = fill(superuser, LARGE), fill(superuser, 100)
    with psycopg.connect(superuser) as connection:
        other_model = new_id()
        connection.execute(
            "INSERT INTO index_version (id, tenant_id, model_id, model_version, dimensions, state,"
            " created_at) VALUES (%s, %s, 'other', '1', 3, 'building', now())",
            (other_model, small.tenant_id),
        )
        connection.execute(
            "INSERT INTO embedding (chunk_id, index_version_id, tenant_id, vector)"
            " SELECT id, %s, tenant_id, '[1,2,3]' FROM chunk WHERE tenant_id = %s",
            (other_model, small.tenant_id),
        )
    migrate(owner_dsn, "0030-1")
    assert graphs(superuser) == []
    with psycopg.connect(superuser) as connection:
        kept = connection.execute(
            "SELECT count(*), count(*) FILTER (WHERE index_version_id = %s) FROM embedding",
            (other_model,),
        ).fetchone()
    assert kept == (LARGE + 100, 0)
    migrate(owner_dsn)
    assert "1 large index versions have no graph" in capsys.readouterr().err
    assert graphs(superuser) == []
    assert make_missing(owner_dsn, memory="128MB") == 0
    assert graphs(superuser) == [f"embedding_graph_{large.index_version_id.hex}"]
    migrate(owner_dsn, "0030-1")
    assert graphs(superuser) == []


def test_a_graph_that_came_half_or_that_nobody_searches_is_dropped(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    broken, retired = fill(superuser, 20), fill(superuser, 20)
    make_missing(owner_dsn, graph_from=20)
    assert len(graphs(superuser)) == 2
    with psycopg.connect(superuser) as connection:
        connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
            (f"embedding_graph_{broken.index_version_id.hex}",),
        )
        connection.execute(
            "UPDATE index_version SET state = 'retired' WHERE id = %s", (retired.index_version_id,)
        )
    assert not is_found(superuser, broken)
    assert not is_made(owner_dsn, broken), "only the command knows whether it is being made"
    assert not is_made(owner_dsn, retired)
    make_missing(owner_dsn, graph_from=20)
    assert is_found(superuser, broken)
    assert graphs(superuser) == [f"embedding_graph_{broken.index_version_id.hex}"]
    with psycopg.connect(superuser) as connection:
        connection.execute(f"DROP INDEX embedding_graph_{broken.index_version_id.hex}")
    assert not is_found(superuser, broken)
    assert is_made(owner_dsn, broken), "a graph that was lost is made anew"


def test_missing_graphs_are_counted_where_a_publication_tried_to_make_them(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    large, _ = fill(superuser, 20), fill(superuser, 20)
    assert missing(owner_dsn) == 0
    with psycopg.connect(superuser) as connection:
        connection.execute(
            "UPDATE index_version SET graph_tried_at = now() - interval '2 minutes' WHERE id = %s",
            (large.index_version_id,),
        )
    assert missing(owner_dsn) == 1
    make_missing(owner_dsn, graph_from=20)
    assert missing(owner_dsn) == 0


def missing(owner_dsn: str) -> int:
    """As the application sees it, which acts for no tenant then."""
    with psycopg.connect(dsn_of("muniment_app", owner_dsn)) as connection:
        row = connection.execute("SELECT count_missing_graphs()").fetchone()
    assert row is not None
    return int(row[0])


def test_a_graph_is_dropped_of_nothing_but_the_tenants_own_that_is_retired(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    searched, retired = fill(superuser, 20), fill(superuser, 20)
    make_missing(owner_dsn, graph_from=20)
    with psycopg.connect(superuser) as connection:
        connection.execute(
            "UPDATE index_version SET state = 'retired' WHERE id = %s", (retired.index_version_id,)
        )
    for acting, dropped in ((searched, searched), (searched, retired), (retired, retired)):
        assert len(graphs(superuser)) == 2
        with psycopg.connect(dsn_of("muniment_app", owner_dsn)) as connection:
            connection.execute(
                "SELECT set_config('app.tenant', %s, true)", (str(acting.tenant_id),)
            )
            connection.execute("SELECT drop_vector_graph(%s)", (dropped.index_version_id,))
    assert graphs(superuser) == [f"embedding_graph_{searched.index_version_id.hex}"]


def is_found(dsn: str, tenant: VectorTenant) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT has_vector_graph(%s)", (tenant.index_version_id,)
        ).fetchone()
    return row == (True,)


def is_made(owner_dsn: str, tenant: VectorTenant) -> bool:
    """By the application."""
    with psycopg.connect(dsn_of("muniment_app", owner_dsn)) as connection:
        connection.execute("SELECT set_config('app.tenant', %s, true)", (str(tenant.tenant_id),))
        row = connection.execute(
            "SELECT make_vector_graph(%s)", (tenant.index_version_id,)
        ).fetchone()
    return row == (True,)


def test_a_database_takes_no_more_graphs_than_its_statements_can_lock(
    owner_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    last = fill(superuser, 20)
    with psycopg.connect(superuser) as connection:
        for number in range(vector_graphs.MOST_GRAPHS - 1):
            make_another(connection, f"embedding_graph_{number:032x}")
    assert is_made(owner_dsn, last)
    with psycopg.connect(superuser) as connection:
        connection.execute(f"DROP INDEX embedding_graph_{last.index_version_id.hex}")
        make_another(connection, f"embedding_graph_{vector_graphs.MOST_GRAPHS:032x}")
    assert not is_made(owner_dsn, last)
    monkeypatch.setattr(vector_graphs, "MOST_GRAPHS", 0)
    assert make_missing(owner_dsn, graph_from=20) == 1


def make_another(connection: psycopg.Connection, name: str) -> None:
    connection.execute(f"CREATE INDEX {name} ON embedding (chunk_id) WHERE dimensions = 1")


def test_graphs_are_made_by_one_at_a_time(owner_dsn: str) -> None:
    with psycopg.connect(owner_dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (vector_graphs._LOCK,))
        with pytest.raises(ConfigurationError, match="another"):
            make_missing(owner_dsn)
        connection.execute("SELECT pg_advisory_unlock(%s)", (vector_graphs._LOCK,))


def test_a_tenant_has_one_active_index_version(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    tenant = fill(superuser, 1)
    with (
        psycopg.connect(superuser) as connection,
        pytest.raises(psycopg.errors.UniqueViolation),
    ):
        add_tenant(connection, tenant.tenant_id, tenant.collection_id)

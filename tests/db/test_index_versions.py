"""The migration to index versions that are built beside the one that is searched, there and back."""

import psycopg

from db.migrate import migrate
from db.models import new_id
from db.vector_graphs import make_missing
from tests.db.test_downgrades import dsn_of
from tests.db.test_vector_graphs import fill, graphs


def test_going_back_leaves_the_vectors_of_the_one_that_is_searched(owner_dsn: str) -> None:
    superuser = dsn_of("postgres", owner_dsn)
    tenant = fill(superuser, 20)
    others = {state: new_id() for state in ("building", "superseded", "retired")}
    with psycopg.connect(superuser) as connection:
        for state, index in others.items():
            connection.execute(
                "INSERT INTO index_version (id, tenant_id, model_id, model_version, dimensions,"
                " state, created_at, passages_total, evaluation)"
                " VALUES (%s, %s, 'other', '1', 3, %s, now(), 20, '{\"questions\": 0}')",
                (index, tenant.tenant_id, state),
            )
            connection.execute(
                "INSERT INTO embedding (chunk_id, index_version_id, tenant_id, vector)"
                " SELECT id, %s, tenant_id, '[1,2,3]' FROM chunk WHERE tenant_id = %s",
                (index, tenant.tenant_id),
            )
    assert make_missing(owner_dsn, graph_from=20) == 0
    assert len(graphs(superuser)) == 3
    migrate(owner_dsn, "0032-1")
    assert graphs(superuser) == [f"embedding_graph_{tenant.index_version_id.hex}"]
    with psycopg.connect(superuser) as connection:
        kept = connection.execute(
            "SELECT DISTINCT index_version_id, count(*) FROM embedding GROUP BY 1"
        ).fetchall()
        states = connection.execute(
            "SELECT state, count(*) FROM index_version GROUP BY 1 ORDER BY 1"
        ).fetchall()
    assert kept == [(tenant.index_version_id, 20)]
    assert states == [("active", 1), ("retired", 3)]
    migrate(owner_dsn)
    with psycopg.connect(superuser) as connection:
        spent = connection.execute("SELECT * FROM spent_index_versions(NULL, 10)").fetchall()
    assert {row[1] for row in spent} == set(others.values())

"""What the migration to vector graphs does to a large index, there and back, as an owner who is no
superuser."""

import numpy as np
import psycopg

from bench.vector_set import VectorTenant, add_passages, add_tenant
from db.migrate import migrate
from db.models import new_id
from muniment.embedding import DIMENSIONS
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


def test_large_indexes_get_their_graphs_with_the_upgrade(owner_dsn: str) -> None:
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
    assert graphs(superuser) == [f"embedding_graph_{large.index_version_id.hex}"]
    with psycopg.connect(superuser) as connection:
        row = connection.execute(
            "SELECT array_agg(id) FROM index_version WHERE has_graph"
        ).fetchone()
    assert row == ([large.index_version_id],)
    migrate(owner_dsn, "0030-1")
    assert graphs(superuser) == []

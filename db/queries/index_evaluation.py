"""What an index version finds, for comparing it: the passages nearest to a stored one."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from db.models import IndexVersion
from db.queries.vectors import FIRST_CANDIDATES

# Hashes of texts are as good as random: those after a random one are a sample.
_SAMPLE = text(
    """
    SELECT DISTINCT ON (text_hash) chunk.id
    FROM chunk
    WHERE tenant_id = (SELECT current_tenant()) AND text_hash > :after
      AND EXISTS (SELECT FROM embedding WHERE embedding.chunk_id = chunk.id
                  AND embedding.index_version_id = :first)
      AND EXISTS (SELECT FROM embedding WHERE embedding.chunk_id = chunk.id
                  AND embedding.index_version_id = :second)
    ORDER BY text_hash
    LIMIT :max_rows
    """
)

# A graph is taken where the statement says its dimensions, as in db/queries/vectors.py; where it does not,
# every vector is measured.
_NEAREST = """
SELECT chunk.text_hash, near.distance
FROM (
    SELECT embedding.chunk_id, {distance} AS distance
    FROM embedding
    WHERE embedding.index_version_id = '{id}'
    ORDER BY {distance}
    LIMIT :max_rows
) AS near
JOIN chunk ON chunk.id = near.chunk_id
"""
_MEASURED = "embedding.vector <=> CAST(:vector AS halfvec)"
_WALKED = (
    "CAST(embedding.vector AS halfvec({dimensions})) <=> CAST(:vector AS halfvec({dimensions}))"
)

_BY_GRAPH = text(
    """
    SELECT set_config('enable_seqscan', 'off', true),
           set_config('enable_bitmapscan', 'off', true),
           set_config('enable_sort', 'off', true),
           set_config('hnsw.ef_search', :candidates, true)
    """
)


async def sample(
    session: AsyncSession, first: UUID, second: UUID, *, after: bytes, limit: int
) -> Sequence[UUID]:
    """Passages of different texts that are in both index versions, behind that hash."""
    rows = await session.scalars(
        _SAMPLE, {"first": first, "second": second, "after": after, "max_rows": limit}
    )
    return rows.all()


async def nearest_texts(
    session: AsyncSession, index: IndexVersion, chunk_id: UUID, *, by_graph: bool, limit: int
) -> list[bytes]:
    """Hashes of the texts of the passages nearest to that one, each once, its own left out. The
    transaction's plans are fit for nothing else afterwards."""
    vector = await session.scalar(
        text(
            "SELECT CAST(vector AS text) FROM embedding"
            " WHERE chunk_id = :chunk_id AND index_version_id = :id"
        ),
        {"chunk_id": chunk_id, "id": index.id},
    )
    own = await session.scalar(text("SELECT text_hash FROM chunk WHERE id = :id"), {"id": chunk_id})
    if vector is None or own is None:
        return []
    distance = _MEASURED
    if by_graph:
        await session.execute(_BY_GRAPH, {"candidates": str(FIRST_CANDIDATES)})
        # Of types that have no quotes in them, as below.
        distance = _WALKED.format(dimensions=int(index.dimensions))
    statement = _NEAREST.format(distance=distance, id=UUID(str(index.id)))
    rows = await session.execute(text(statement), {"vector": vector, "max_rows": 4 * limit})
    in_order = sorted(rows.all(), key=lambda row: float(row.distance))
    found = dict.fromkeys(bytes(row.text_hash) for row in in_order)
    return [text_hash for text_hash in found if text_hash != bytes(own)][:limit]

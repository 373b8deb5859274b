"""Vectors of stored passages, for an index version that is being built; and their end in a retired one."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

Vector = npt.NDArray[np.float32]

ROWS_PER_STATEMENT = 500
DELETED_PER_STATEMENT = 5_000


@dataclass(frozen=True)
class StoredPassage:
    """One of the passages with a text, and what it says; sealed under `text_key_id` where its collection
    has texts sealed."""

    text_hash: bytes
    version_id: UUID
    ordinal: int
    text: str
    headings: Sequence[str]
    sealed_text: bytes | None
    text_key_id: UUID | None


_NEXT_TEXTS = text(
    """
    SELECT DISTINCT ON (text_hash)
        text_hash, version_id, ordinal, text, headings, sealed_text, text_key_id
    FROM chunk
    WHERE tenant_id = (SELECT current_tenant()) AND text_hash > :after
      AND NOT EXISTS (SELECT FROM embedding WHERE embedding.chunk_id = chunk.id
                      AND embedding.index_version_id = :id)
    ORDER BY text_hash
    LIMIT :max_texts
    """
)

# A passage that is being deleted is left out; where it stays after all, the next pass has it.
_FILL = text(
    f"""
    WITH lacking AS (
        SELECT chunk.id, chunk.tenant_id, item.vector
        FROM unnest(CAST(:hashes AS bytea[]), CAST(:vectors AS text[])) AS item(text_hash, vector)
        JOIN chunk ON chunk.text_hash = item.text_hash
            AND chunk.tenant_id = (SELECT current_tenant())
        WHERE NOT EXISTS (SELECT FROM embedding WHERE embedding.chunk_id = chunk.id
                          AND embedding.index_version_id = :id)
        LIMIT {ROWS_PER_STATEMENT}
        FOR KEY SHARE OF chunk SKIP LOCKED
    ),
    filled AS (
        INSERT INTO embedding (chunk_id, index_version_id, tenant_id, vector)
        SELECT id, :id, tenant_id, CAST(vector AS halfvec) FROM lacking
        ON CONFLICT DO NOTHING
        RETURNING chunk_id
    )
    SELECT count(*) FROM filled
    """  # noqa: S608 - a constant
)


async def next_texts(
    session: AsyncSession, index_version_id: UUID, after: bytes, limit: int
) -> list[StoredPassage]:
    """Texts of passages without a vector in the index version, in the order of their hashes, each once."""
    rows = await session.execute(
        _NEXT_TEXTS, {"id": index_version_id, "after": after, "max_texts": limit}
    )
    return [StoredPassage(*row) for row in rows]


async def fill(
    session: AsyncSession, index_version_id: UUID, vectors: Mapping[bytes, Vector]
) -> int:
    """Gives some passages with these texts their vectors, `ROWS_PER_STATEMENT` at most; how many. Fewer than
    that: no more are left."""
    filled = await session.execute(
        _FILL,
        {
            "id": index_version_id,
            "hashes": list(vectors),
            "vectors": [literal(vector) for vector in vectors.values()],
        },
    )
    return int(filled.scalar_one())


async def delete_vectors(session: AsyncSession, index_version_id: UUID) -> int:
    """Some of those of a retired one; how many."""
    deleted = await session.execute(
        text(
            f"""
            WITH part AS (
                SELECT chunk_id FROM embedding
                WHERE tenant_id = (SELECT current_tenant()) AND index_version_id = :id
                  AND EXISTS (SELECT FROM index_version WHERE id = :id AND state = 'retired')
                LIMIT {DELETED_PER_STATEMENT}
            ), deleted AS (
                DELETE FROM embedding USING part
                WHERE embedding.chunk_id = part.chunk_id AND embedding.index_version_id = :id
                RETURNING 1
            )
            SELECT count(*) FROM deleted
            """  # noqa: S608 - a constant
        ),
        {"id": index_version_id},
    )
    return int(deleted.scalar_one())


async def drop_graph(session: AsyncSession, index_version_id: UUID) -> None:
    """Of a retired one. Locks out everybody who searches by meaning, for a moment."""
    await session.execute(text("SELECT drop_vector_graph(:id)"), {"id": index_version_id})


async def mark_emptied(session: AsyncSession, index_version_id: UUID) -> None:
    await session.execute(
        text("UPDATE index_version SET emptied_at = now() WHERE id = :id AND state = 'retired'"),
        {"id": index_version_id},
    )


def literal(vector: Vector) -> str:
    """As PostgreSQL reads it: half precision needs five significant digits."""
    return json.dumps([float(f"{value:.5g}") for value in vector.tolist()])

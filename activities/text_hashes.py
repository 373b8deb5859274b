"""Keyed hashes of texts: equal within a tenant for equal texts, and meaningless elsewhere."""

import hashlib
from collections.abc import Sequence
from uuid import UUID

from muniment.contracts.documents import Chunk
from muniment.sealing import KeyManagement


async def text_hashes(keys: KeyManagement, tenant_id: UUID, chunks: Sequence[Chunk]) -> list[bytes]:
    """For each chunk HMAC-SHA-256, under the tenant's deduplication key, of the SHA-256 of what
    the embedder is given: equal hashes mean equal vectors."""
    return [
        await keys.dedup_tag(tenant_id, hashlib.sha256(chunk.embedding_text().encode()).digest())
        for chunk in chunks
    ]

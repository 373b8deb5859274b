"""Search by meaning: exact cosine between the question's vector and every passage in reach."""

import asyncio
from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from db.queries import search as queries
from db.session import Access, Database
from muniment.errors import MunimentError

DEPTH = 200
"""Passages that enter the fusion."""

EMBEDDING_TIMEOUT_SECONDS = 10.0
"""The first call loads the model, about a second; a later one takes tens of milliseconds."""

Vector = npt.NDArray[np.float32]


class QueryEmbedder(Protocol):
    """The model of the active index. Vectors have length 1; calls block and may come from several
    threads."""

    model_id: str

    def embed_query(self, text: str) -> Vector:
        """Shape (384,)."""

    def embed(self, texts: Sequence[str]) -> Vector:
        """Shape (len(texts), 384)."""


class VectorsUnavailable(MunimentError):
    """Search by meaning cannot take part; `detail` says why. Never leaves this package: a search
    without it is degraded, not failed."""


async def embed(embedder: QueryEmbedder, texts: Sequence[str]) -> Vector:
    """The vectors of some texts, off the event loop. Raises VectorsUnavailable."""
    call = (
        asyncio.to_thread(lambda: embedder.embed_query(texts[0])[np.newaxis, :])
        if len(texts) == 1
        else asyncio.to_thread(embedder.embed, texts)
    )
    try:
        return await asyncio.wait_for(call, EMBEDDING_TIMEOUT_SECONDS)
    except TimeoutError as error:
        raise VectorsUnavailable("the embedder did not answer in time") from error
    except (MunimentError, OSError, RuntimeError, ValueError, MemoryError) as error:
        # What fastembed, tokenizers and ONNX Runtime raise; the message may hold the query.
        raise VectorsUnavailable(f"the embedder failed ({type(error).__name__})") from error


async def search_vectors(
    database: Database,
    access: Access,
    embedder: QueryEmbedder,
    vector: Vector,
    wanted: queries.FileFilter,
    max_chunks: int = DEPTH,
) -> dict[UUID, float]:
    """Cosines by chunk, best first; none before anything was published. Raises
    VectorsUnavailable when the tenant's active index is of another model than the embedder."""
    async with database.transaction(access) as session:
        await queries.prepare_for_search(session)
        index = await queries.active_index(session)
        if index is None:
            return {}
        if index.model_id != embedder.model_id:
            raise VectorsUnavailable("the active index is of another embedding model")
        chunks = await queries.nearest(
            session, [float(value) for value in vector], index.id, wanted, max_chunks=max_chunks
        )
    return {chunk.chunk_id: chunk.score for chunk in chunks}

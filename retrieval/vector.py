"""Search by meaning: the passages whose vectors have the greatest cosine with the question's.

Exact up to some ten thousand passages, by a graph (HNSW) above; which of the two is settled here, never
by PostgreSQL's planner.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from db.queries import vectors
from db.queries.search import FileFilter, ScoredChunk, prepare_for_search
from db.session import Access, Database
from muniment.embedding import TextEmbedder
from muniment.errors import DatabaseTooSlow, MunimentError

DEPTH = 200
"""Passages that enter the fusion."""

LEAST_WANTED_SHARE = 0.1
"""Of the graph's first candidates; below it the wanted passages are few, or lie elsewhere."""

MEASURED_AT_MOST = 20_000
"""Passages that are measured one by one, where a filter leaves no more of a large index."""

VISITED_AT_MOST = 40_000
"""Vectors that the second walk of a graph may compare (`hnsw.max_scan_tuples`); what is not found by
then is `truncated`."""

EMBEDDING_TIMEOUT_SECONDS = 10.0
"""The first call loads the model, about a second; a later one takes tens of milliseconds."""

Vector = npt.NDArray[np.float32]


class QueryEmbedder(Protocol):
    """The default model, and by it the others that are here. Vectors have length 1; calls block and may come
    from several threads."""

    model_id: str
    version: str

    def embed_query(self, text: str) -> Vector:
        """Shape (dimensions,)."""

    def embed(self, texts: Sequence[str]) -> Vector:
        """Shape (len(texts), dimensions)."""

    def for_model(self, model_id: str, version: str) -> TextEmbedder | None:
        """None where that model is not here."""

    def known_share(self, text: str) -> float:
        """How many of the text's words the model knows, 0–1."""


class VectorsUnavailable(MunimentError):
    """Search by meaning cannot take part; `detail` says why. Never leaves this package: a search
    without it is degraded, not failed."""


async def embed(embedder: QueryEmbedder | TextEmbedder, texts: Sequence[str]) -> Vector:
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
        # What fastembed and tokenizers raise, EngineError for ONNX Runtime; the message may hold the query.
        raise VectorsUnavailable(f"the embedder failed ({type(error).__name__})") from error


@dataclass(frozen=True)
class EmbeddedQuestion:
    """A question whose vector is known already: of this model, of length 1."""

    text: str
    model_id: str
    version: str
    vector: Vector = field(repr=False)


async def question_vector(
    embedder: TextEmbedder,
    index: vectors.ActiveIndex,
    text: str,
    known: EmbeddedQuestion | None,
) -> Vector:
    """Made once where it is known already. Raises VectorsUnavailable."""
    of_index = (text, index.model_id, index.model_version)
    if known is not None and (known.text, known.model_id, known.version) == of_index:
        return known.vector
    vector: Vector = (await embed(embedder, [text]))[0]
    return vector


@dataclass(frozen=True)
class VectorResult:
    """Cosines by chunk, best first; `truncated` when the search ended before it had looked everywhere
    and had found as many as were wanted."""

    scores: dict[UUID, float]
    truncated: bool = False


async def active_index(database: Database, access: Access) -> vectors.ActiveIndex | None:
    """None before anything was published."""
    async with database.transaction(access) as session:
        await prepare_for_search(session)
        return await vectors.active_index(session)


def embedder_of(embedder: QueryEmbedder, index: vectors.ActiveIndex) -> TextEmbedder:
    """The one that made the index version's vectors: questions are embedded by no other. Raises
    VectorsUnavailable where it is not here."""
    found = embedder.for_model(index.model_id, index.model_version)
    if found is None:
        raise VectorsUnavailable(
            "the active index is of an embedding model that this release does not have; another index"
            " version is built by `muniment index-versions create`"
        )
    return found


async def search_vectors(
    database: Database,
    access: Access,
    embedder: QueryEmbedder,
    vector: Vector,
    wanted: FileFilter,
    max_chunks: int = DEPTH,
) -> VectorResult:
    """The nearest passages; none before anything was published. Raises VectorsUnavailable when the
    tenant's active index is not of the model that `vector` is of, and as `search_index`."""
    index = await active_index(database, access)
    if index is None:
        return VectorResult({})
    of_vector = (embedder.model_id, embedder.version, len(vector))
    if (index.model_id, index.model_version, index.dimensions) != of_vector:
        raise VectorsUnavailable("the active index is of another embedding model")
    return await search_index(database, access, index, vector, wanted, max_chunks)


async def search_index(
    database: Database,
    access: Access,
    index: vectors.ActiveIndex,
    vector: Vector,
    wanted: FileFilter,
    max_chunks: int = DEPTH,
) -> VectorResult:
    """The nearest passages in this index version, by a vector of its model, whichever is active by now.
    Raises VectorsUnavailable when there are too many to measure without a graph, which is late."""
    elements = tuple(float(value) for value in vector)
    search = _Search(database, access, elements, index, wanted, max_chunks)
    try:
        return await (search.in_large_index() if index.has_graph else search.in_small_index())
    except DatabaseTooSlow as error:
        raise VectorsUnavailable("the database took too long") from error


@dataclass(frozen=True)
class _Search:
    database: Database
    access: Access
    vector: tuple[float, ...]
    index: vectors.ActiveIndex
    wanted: FileFilter
    max_chunks: int

    async def in_large_index(self) -> VectorResult:
        """By the graph, which is walked further where enough of its first candidates are wanted. Where it
        does not find as many as it should, every passage that is wanted is measured, unless there are too
        many."""
        found = await self._by_graph(max_visited=1)
        is_dense = len(found) >= LEAST_WANTED_SHARE * vectors.FIRST_CANDIDATES
        if is_dense and len(found) < self.max_chunks:
            found = await self._by_graph(VISITED_AT_MOST)
        if len(found) == self.max_chunks:
            return _result(found)
        measured = await self._exactly(MEASURED_AT_MOST)
        if measured is not None:
            return _result(measured)
        if not is_dense:
            found = await self._by_graph(VISITED_AT_MOST)
        return _result(found, truncated=len(found) < self.max_chunks)

    async def in_small_index(self) -> VectorResult:
        """However many are wanted: they are few, unless a graph is late."""
        return _result(await self._exactly(most=None) or ())

    async def _exactly(self, most: int | None) -> tuple[ScoredChunk, ...] | None:
        async with self.database.transaction(self.access) as session:
            await prepare_for_search(session)
            return await vectors.nearest_exactly(
                session,
                self.vector,
                self.index,
                self.wanted,
                max_chunks=self.max_chunks,
                most=most,
            )

    async def _by_graph(self, max_visited: int) -> tuple[ScoredChunk, ...]:
        async with self.database.transaction(self.access) as session:
            await prepare_for_search(session)
            return await vectors.nearest_by_graph(
                session,
                self.vector,
                self.index,
                self.wanted,
                max_chunks=self.max_chunks,
                max_visited=max_visited,
            )


def _result(found: tuple[ScoredChunk, ...], *, truncated: bool = False) -> VectorResult:
    return VectorResult({chunk.chunk_id: chunk.score for chunk in found}, truncated)

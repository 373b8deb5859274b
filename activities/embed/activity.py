"""Temporal's face of stage `embed`."""

import asyncio
import io
import logging
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from temporalio import activity

from activities.fingerprints import fingerprint
from activities.stage import Product, StageRunner, StageTask
from activities.standing_back import in_background
from activities.text_hashes import text_hashes
from db.queries.publish import IndexModel, known_vectors
from db.queries.stages import Opening
from muniment.contracts.base import Contract, VersionReference
from muniment.contracts.documents import ChunkList
from muniment.contracts.embed import EmbedActivities, EmbedInput, EmbedResult
from muniment.contracts.jobs import StageName
from muniment.embedding import Embedder
from muniment.errors import MunimentError
from muniment.sealing import KeyManagement

logger = logging.getLogger(__name__)
Vectors = npt.NDArray[np.float32]

FIRST_TELL_SECONDS = 0.5
"""Until the first word on how far it is; a job that is done sooner says nothing in between."""
TELL_SECONDS = 2.0
"""Between two words, at most: the longer it takes already, the less a second tells."""
TELL_GROWTH = 1.2


class EmbedSummary(Contract):
    embedded_count: int
    reused_count: int


class Embed(EmbedActivities):
    """Texts are embedded in a thread; between two batches of the model a cancellation ends it."""

    def __init__(self, runner: StageRunner, embedder: Embedder, keys: KeyManagement) -> None:
        self._runner = runner
        self._embedder = embedder
        self._keys = keys

    @activity.defn(name="embed_chunks")
    async def embed_chunks(self, request: EmbedInput) -> EmbedResult:
        async def compute(_: Opening) -> Product[EmbedSummary]:
            return await self._embed(request)

        model = f"{self._embedder.model_id}/{self._embedder.version}"
        answer = await self._runner.run(
            StageTask(
                StageName.EMBED,
                request.version,
                EmbedSummary,
                lambda _: fingerprint(StageName.EMBED, model, [request.chunks.fingerprint]),
                compute,
            )
        )
        return EmbedResult(
            vectors=answer.artifact, reused=answer.reused, **answer.summary.model_dump()
        )

    async def _embed(self, request: EmbedInput) -> Product[EmbedSummary]:
        version = request.version
        chunks = (
            await self._runner.artifacts.load(version.tenant_id, request.chunks.blob_id, ChunkList)
        ).chunks
        hashes = await text_hashes(self._keys, version.tenant_id, chunks)
        vectors: dict[bytes, Vectors] = {}
        if hashes:
            model = index_model(self._embedder)
            async with self._runner.transaction(version) as session:
                vectors = await known_vectors(session, hashes, model)
        missing = {
            text_hash: chunk.embedding_text()
            for text_hash, chunk in zip(hashes, chunks, strict=True)
            if text_hash not in vectors
        }
        embedded = await self._embed_texts(version, list(missing.values()))
        vectors |= dict(zip(missing, embedded, strict=True))
        matrix = np.zeros((len(chunks), self._embedder.dimensions), dtype="<f4")
        for row, text_hash in enumerate(hashes):
            matrix[row] = vectors[text_hash]
        summary = EmbedSummary(embedded_count=len(missing), reused_count=len(chunks) - len(missing))
        return Product(_npy(matrix), summary)

    async def _embed_texts(self, version: VersionReference, texts: Sequence[str]) -> Vectors:
        """The texts' vectors; meanwhile the job's readers are told how many there are."""
        counted = _Counted(len(texts))
        telling = asyncio.create_task(self._tell(version, counted))
        try:
            return await _in_thread(self._embedder, texts, counted)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)

    async def _tell(self, version: VersionReference, counted: "_Counted") -> None:
        pause = min(FIRST_TELL_SECONDS, TELL_SECONDS)
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * TELL_GROWTH, TELL_SECONDS)
            try:
                await self._runner.advance(version, StageName.EMBED, counted.done, counted.total)
            except MunimentError:
                # What is wrong shows when the vectors are kept.
                logger.info("the progress of embedding was not told")


def index_model(embedder: Embedder) -> IndexModel:
    return IndexModel(embedder.model_id, embedder.version, embedder.dimensions)


class _Counted:
    """How many texts have their vectors; written by the embedding thread alone."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0


class _Abandoned(Exception):
    """Nobody waits for the vectors any more."""


async def _in_thread(embedder: Embedder, texts: Sequence[str], counted: _Counted) -> Vectors:
    """The texts' vectors; when the awaiting task is cancelled, the thread ends with the batch that
    it is at."""
    if not texts:
        return np.zeros((0, embedder.dimensions), dtype=np.float32)
    abandoned = threading.Event()

    def count(done: int) -> None:
        counted.done = done
        if abandoned.is_set():
            raise _Abandoned

    try:
        return await in_background(embedder.embed, texts, count)
    except asyncio.CancelledError:
        abandoned.set()
        raise


def _npy(matrix: Vectors) -> bytes:
    content = io.BytesIO()
    np.save(content, matrix, allow_pickle=False)
    return content.getvalue()

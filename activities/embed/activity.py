"""Temporal's face of stage `embed`."""

import asyncio
import logging
from collections.abc import Sequence

from temporalio import activity

from activities.embed.vectors import ChunkVectors, Counted, fingerprint_of, to_bytes
from activities.stage import Product, StageRunner, StageTask
from activities.text_hashes import text_hashes
from db.queries.index_versions import IndexModel
from db.queries.stages import Opening
from muniment.contracts.base import Contract, VersionReference
from muniment.contracts.documents import ChunkList
from muniment.contracts.embed import EmbedActivities, EmbedInput, EmbedResult
from muniment.contracts.jobs import StageName
from muniment.errors import MunimentError
from muniment.sealing import KeyManagement

logger = logging.getLogger(__name__)

FIRST_TELL_SECONDS = 0.5
"""Until the first word on how far it is; a job that is done sooner says nothing in between."""
TELL_SECONDS = 2.0
"""Between two words, at most: the longer it takes already, the less a second tells."""
TELL_GROWTH = 1.2


class EmbedSummary(Contract):
    embedded_count: int
    reused_count: int


class Embed(EmbedActivities):
    def __init__(self, runner: StageRunner, vectors: ChunkVectors, keys: KeyManagement) -> None:
        self._runner = runner
        self._vectors = vectors
        self._keys = keys

    @activity.defn(name="embed_chunks")
    async def embed_chunks(self, request: EmbedInput) -> EmbedResult:
        async with self._runner.attempt(request.version, StageName.EMBED):
            models = await self._vectors.wanted(request.version)
            answer = await self._runner.carry_out(self._task(request, models))
        return EmbedResult(
            vectors=answer.artifact, reused=answer.reused, **answer.summary.model_dump()
        )

    def _task(self, request: EmbedInput, models: Sequence[IndexModel]) -> StageTask[EmbedSummary]:
        async def compute(_: Opening) -> Product[EmbedSummary]:
            return await self._embed(request, models)

        return StageTask(
            StageName.EMBED,
            request.version,
            EmbedSummary,
            lambda _: fingerprint_of(models, request.chunks),
            compute,
        )

    async def _embed(
        self, request: EmbedInput, models: Sequence[IndexModel]
    ) -> Product[EmbedSummary]:
        version = request.version
        chunks = (
            await self._runner.artifacts.load(version.tenant_id, request.chunks.blob_id, ChunkList)
        ).chunks
        hashes = await text_hashes(self._keys, version.tenant_id, chunks)
        counted = Counted()
        telling = asyncio.create_task(self._tell(version, counted))
        try:
            made = await self._vectors.make(version, chunks, hashes, models, counted)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        summary = EmbedSummary(embedded_count=made.embedded, reused_count=made.reused)
        return Product(to_bytes(made.vectors, self._vectors.default()), summary)

    async def _tell(self, version: VersionReference, counted: Counted) -> None:
        """Meanwhile the job's readers are told how many there are."""
        pause = min(FIRST_TELL_SECONDS, TELL_SECONDS)
        while True:
            await asyncio.sleep(pause)
            pause = min(pause * TELL_GROWTH, TELL_SECONDS)
            if not counted.total:
                continue
            try:
                await self._runner.advance(version, StageName.EMBED, counted.done, counted.total)
            except MunimentError:
                # What is wrong shows when the vectors are kept.
                logger.info("the progress of embedding was not told")

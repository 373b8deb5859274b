"""Temporal's face of stage `chunk`."""

from importlib.metadata import version as library_version

from temporalio import activity

from activities.chunk.calls import ChunkRequest
from activities.fingerprints import fingerprint
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.stage import Product, StageRunner, StageTask
from db.queries.stages import Opening
from muniment.contracts.base import Contract
from muniment.contracts.chunk import ChunkActivities, ChunkInput, ChunkResult
from muniment.contracts.documents import ChunkList
from muniment.contracts.jobs import StageName
from muniment.embedding import MODEL_ID, MODEL_VERSION, WINDOW_TOKENS

ENGINE_MODULE = "activities.chunk.engine"
VERSION = f"3/docling-core-{library_version('docling-core')}"
LIMITS = Limits(wall_seconds=300, cpu_seconds=300, memory_bytes=4096 * MEBIBYTE)


class ChunkSummary(Contract):
    chunk_count: int


class ChunkDocument(ChunkActivities):
    def __init__(self, runner: StageRunner, sandbox: Sandbox) -> None:
        self._runner = runner
        self._sandbox = sandbox

    @activity.defn(name="chunk_document")
    async def chunk_document(self, request: ChunkInput) -> ChunkResult:
        async def compute(opening: Opening) -> Product[ChunkSummary]:
            return await self._chunk(request, _window_tokens(opening))

        answer = await self._runner.run(
            StageTask(
                StageName.CHUNK,
                request.version,
                ChunkSummary,
                # The model's tokenizer decides where a chunk ends.
                lambda opening: fingerprint(
                    StageName.CHUNK,
                    VERSION,
                    [request.document.fingerprint],
                    {
                        "model": f"{MODEL_ID}/{MODEL_VERSION}",
                        "window_tokens": _window_tokens(opening),
                    },
                ),
                compute,
            )
        )
        return ChunkResult(
            chunks=answer.artifact, reused=answer.reused, chunk_count=answer.summary.chunk_count
        )

    async def _chunk(self, request: ChunkInput, window_tokens: int) -> Product[ChunkSummary]:
        document = await self._runner.artifacts.load_bytes(
            request.version.tenant_id, request.document.blob_id
        )
        chunks = await self._sandbox.run(
            EngineCall("chunk", ChunkRequest(window_tokens=window_tokens), ChunkList),
            content=document,
            limits=LIMITS,
        )
        summary = ChunkSummary(chunk_count=len(chunks.chunks))
        return Product(chunks.model_dump_json().encode(), summary)


def _window_tokens(opening: Opening) -> int:
    """The job's own setting, never more than the embedder reads."""
    return min(opening.job.settings.chunk_tokens or WINDOW_TOKENS, WINDOW_TOKENS)

"""Temporal's face of stage `chunk`."""

from importlib.metadata import version as library_version

from temporalio import activity

from activities.chunk.calls import ChunkRequest, MaskedValue
from activities.classify.acts import judged_act
from activities.classify.judging import held_unmasked, reason
from activities.classify.tokens import tokens_of
from activities.fingerprints import fingerprint
from activities.pages import load_batches
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.stage import Product, StageRunner, StageTask
from db.audit import record
from db.queries.finding_policies import judgement_of, record_judgement
from db.queries.stages import Opening, outputs_of
from muniment.contracts.base import Contract
from muniment.contracts.chunk import ChunkActivities, ChunkInput, ChunkResult
from muniment.contracts.documents import ChunkList, FindingList
from muniment.contracts.findings import FindingAct, Judgement
from muniment.contracts.jobs import StageName
from muniment.embedding import MODEL_ID, MODEL_VERSION, WINDOW_TOKENS
from muniment.errors import Gone
from muniment.sealing import KeyManagement

ENGINE_MODULE = "activities.chunk.engine"
VERSION = f"4/docling-core-{library_version('docling-core')}"
LIMITS = Limits(wall_seconds=300, cpu_seconds=300, memory_bytes=4096 * MEBIBYTE)


class ChunkSummary(Contract):
    chunk_count: int
    unmasked_count: int = 0


class ChunkDocument(ChunkActivities):
    """`keys` make the tokens that stand for findings which are masked."""

    def __init__(self, runner: StageRunner, sandbox: Sandbox, keys: KeyManagement) -> None:
        self._runner = runner
        self._sandbox = sandbox
        self._keys = keys

    @activity.defn(name="chunk_document")
    async def chunk_document(self, request: ChunkInput) -> ChunkResult:
        judgement = await self._judgement(request)

        async def compute(opening: Opening) -> Product[ChunkSummary]:
            masks = await self._masks(request, judgement)
            return await self._chunk(request, _window_tokens(opening), masks)

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
                        **_masking_settings(request, judgement),
                    },
                ),
                compute,
            )
        )
        left = answer.summary.unmasked_count
        held = await self._hold(request, judgement, left) if judgement and left else None
        return ChunkResult(
            chunks=answer.artifact,
            reused=answer.reused,
            chunk_count=answer.summary.chunk_count,
            unmasked_count=left,
            reason="" if held is None else reason(held),
        )

    async def _hold(self, request: ChunkInput, judgement: Judgement, left: int) -> Judgement:
        """Judges the document anew, so that what was decided about its findings before is over."""
        held = held_unmasked(judgement, left)
        async with self._runner.transaction(request.version) as session:
            await self._runner.relock(session, request.version)
            await record_judgement(session, request.version, held)
            record(session, judged_act(request.version, held))
        return held

    async def _judgement(self, request: ChunkInput) -> Judgement | None:
        if request.masking is None:
            return None
        async with self._runner.transaction(request.version) as session:
            judgement = await judgement_of(session, request.version.job_id)
        if judgement is None:
            raise Gone("What was asked for of the findings is no longer there.")
        return judgement

    async def _masks(
        self, request: ChunkInput, judgement: Judgement | None
    ) -> tuple[MaskedValue, ...]:
        """Each value once."""
        if request.masking is None or judgement is None:
            return ()
        version, artifacts = request.version, self._runner.artifacts
        async with self._runner.transaction(version) as session:
            outputs = await outputs_of(session, version.job_id, StageName.READ)
        pages = [
            page
            for batch in await load_batches(artifacts, version, outputs)
            for page in batch.pages
        ]
        found = await artifacts.load(version.tenant_id, request.masking.blob_id, FindingList)
        tokenised = await tokens_of(self._keys, version.tenant_id, judgement, found.findings, pages)
        values = {each.value: each.token for each in tokenised}
        return tuple(MaskedValue(value=value, token=token) for value, token in values.items())

    async def _chunk(
        self, request: ChunkInput, window_tokens: int, masks: tuple[MaskedValue, ...]
    ) -> Product[ChunkSummary]:
        document = await self._runner.artifacts.load_bytes(
            request.version.tenant_id, request.document.blob_id
        )
        asked = ChunkRequest(window_tokens=window_tokens, masks=masks)
        chunks = await self._sandbox.run(
            EngineCall("chunk", asked, ChunkList),
            content=document,
            limits=LIMITS,
        )
        summary = ChunkSummary(chunk_count=len(chunks.chunks), unmasked_count=chunks.unmasked_count)
        return Product(chunks.model_dump_json().encode(), summary)


def _window_tokens(opening: Opening) -> int:
    """The job's own setting, never more than the embedder reads."""
    return min(opening.job.settings.chunk_tokens or WINDOW_TOKENS, WINDOW_TOKENS)


def _masking_settings(request: ChunkInput, judgement: Judgement | None) -> dict[str, str]:
    """What the passages depend on besides, where something is masked; nothing where nothing is."""
    if request.masking is None or judgement is None:
        return {}
    masks = [rule for rule in judgement.rules if rule.act is FindingAct.MASK]
    rules = [rule.model_dump_json(exclude={"policy_id"}) for rule in masks]
    return {"masking": request.masking.fingerprint, "masks": "\n".join(sorted({*rules}))}

"""Temporal's face of stage `classify`."""

from importlib.metadata import version as library_version

from temporalio import activity

from activities.classify.calls import ClassifyRequest, PageText
from activities.fingerprints import fingerprint
from activities.pages import load_batches
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.stage import Product, StageRunner, StageTask
from db.queries.stages import Opening, outputs_of
from muniment.contracts.base import Contract
from muniment.contracts.classify import ClassifyActivities, ClassifyInput, ClassifyResult
from muniment.contracts.documents import FindingList
from muniment.contracts.jobs import StageName

ENGINE_MODULE = "activities.classify.engine"
VERSION = "/".join(
    ["2", *(f"{name}-{library_version(name)}" for name in ("presidio-analyzer", "detect-secrets"))]
)
LIMITS = Limits(wall_seconds=120, cpu_seconds=120, memory_bytes=2048 * MEBIBYTE)
"""The engine bounds itself to 60 s and names what it left out; this ends one that does not."""


class ClassifySummary(Contract):
    finding_count: int
    is_complete: bool = True


class Classify(ClassifyActivities):
    def __init__(self, runner: StageRunner, sandbox: Sandbox) -> None:
        self._runner = runner
        self._sandbox = sandbox

    @activity.defn(name="classify_content")
    async def classify_content(self, request: ClassifyInput) -> ClassifyResult:
        async def compute(_: Opening) -> Product[ClassifySummary]:
            return await self._classify(request)

        answer = await self._runner.run(
            StageTask(
                StageName.CLASSIFY,
                request.version,
                ClassifySummary,
                # The document's fingerprint stands for its pages, whose texts are examined.
                lambda _: fingerprint(StageName.CLASSIFY, VERSION, [request.document.fingerprint]),
                compute,
            )
        )
        return ClassifyResult(
            findings=answer.artifact,
            reused=answer.reused,
            finding_count=answer.summary.finding_count,
            is_complete=answer.summary.is_complete,
        )

    async def _classify(self, request: ClassifyInput) -> Product[ClassifySummary]:
        version = request.version
        async with self._runner.transaction(version) as session:
            outputs = await outputs_of(session, version.job_id, StageName.READ)
        batches = await load_batches(self._runner.artifacts, version, outputs)
        pages = tuple(
            PageText(page=page.page, text=page.text) for batch in batches for page in batch.pages
        )
        findings = await self._sandbox.run(
            EngineCall("classify", ClassifyRequest(pages=pages), FindingList), limits=LIMITS
        )
        is_complete = not findings.incomplete
        summary = ClassifySummary(finding_count=len(findings.findings), is_complete=is_complete)
        return Product(findings.model_dump_json().encode(), summary, is_complete)

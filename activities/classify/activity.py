"""Temporal's face of stage `classify`."""

from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version as library_version

from pydantic import JsonValue
from temporalio import activity

from activities.classify.acts import judged_act
from activities.classify.calls import ClassifyRequest, PageText
from activities.classify.custom import require_compilable
from activities.classify.judging import judge, reason
from activities.classify.places import with_boxes
from activities.fingerprints import fingerprint
from activities.pages import load_batches
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from activities.stage import Product, StageRunner, StageTask
from db.audit import record
from db.queries.finding_policies import mark_masked, record_judgement, rules_of_file
from db.queries.findings import JudgedFinding, is_published, replace_findings
from db.queries.stages import Opening, outputs_of
from muniment.contracts.base import Artifact, Contract
from muniment.contracts.classify import ClassifyActivities, ClassifyInput, ClassifyResult
from muniment.contracts.documents import FindingList
from muniment.contracts.findings import CustomRecogniser, FindingAct, Judgement
from muniment.contracts.jobs import StageName
from muniment.errors import FindingsRefused

ENGINE_MODULE = "activities.classify.engine"
VERSION = "/".join(
    ["4", *(f"{name}-{library_version(name)}" for name in ("presidio-analyzer", "detect-secrets"))]
)
LIMITS = Limits(wall_seconds=120, cpu_seconds=120, memory_bytes=2048 * MEBIBYTE)
"""The engine bounds itself to 60 s and names what it left out; this ends one that does not."""

_HOLDING_BACK = (FindingAct.REVIEW, FindingAct.REFUSE)


class ClassifySummary(Contract):
    finding_count: int
    is_complete: bool = True


class Classify(ClassifyActivities):
    """A document that waits for a person waits `review_days` at most. Raises ConfigurationError for a
    recogniser whose expression is none."""

    def __init__(
        self,
        runner: StageRunner,
        sandbox: Sandbox,
        review_days: int,
        recognisers: Sequence[CustomRecogniser] = (),
    ) -> None:
        require_compilable(recognisers)
        self._runner = runner
        self._sandbox = sandbox
        self._recognisers = tuple(recognisers)
        self._review_seconds = timedelta(days=review_days).total_seconds()

    @activity.defn(name="classify_content")
    async def classify_content(self, request: ClassifyInput) -> ClassifyResult:
        async def compute(_: Opening) -> Product[ClassifySummary]:
            return await self._classify(request)

        task = StageTask(
            StageName.CLASSIFY,
            request.version,
            ClassifySummary,
            # The document's fingerprint stands for its pages, whose texts are examined.
            lambda _: fingerprint(
                StageName.CLASSIFY, VERSION, [request.document.fingerprint], self._settings()
            ),
            compute,
        )
        async with self._runner.attempt(request.version, StageName.CLASSIFY):
            answer = await self._runner.carry_out(task)
            judgement = await self._judge(request, answer.artifact)
            if judgement.act is FindingAct.REFUSE:
                raise FindingsRefused(reason(judgement))
        is_held = judgement.act is FindingAct.REVIEW
        return ClassifyResult(
            findings=answer.artifact,
            reused=answer.reused,
            finding_count=answer.summary.finding_count,
            is_complete=answer.summary.is_complete,
            act=judgement.act,
            reason=reason(judgement) if is_held else "",
            review_seconds=self._review_seconds if is_held or judgement.may_mask else None,
            is_masking=judgement.may_mask,
        )

    async def _judge(self, request: ClassifyInput, artifact: Artifact) -> Judgement:
        """What the policies ask for, written down; what holds the document back is listed at once, for
        whoever decides about it."""
        if not request.is_judged:
            return Judgement(act=FindingAct.RECORD)
        version = request.version
        found = await self._runner.artifacts.load(version.tenant_id, artifact.blob_id, FindingList)
        async with self._runner.transaction(version) as session:
            await self._runner.relock(session, version)
            judgement = judge(found, await rules_of_file(session, version.file_id))
            await record_judgement(session, version, judgement)
            if judgement.act in _HOLDING_BACK and not await is_published(session, version):
                judged = [JudgedFinding(each, judgement.act_on(each)) for each in found.findings]
                await replace_findings(session, version, judged)
            if any(map(judgement.masks, found.findings)):
                # At once: what masks hold back is content from now on, whatever becomes of the job.
                await mark_masked(session, version)
            record(session, judged_act(version, judgement))
        return judgement

    def _settings(self) -> dict[str, JsonValue]:
        """What findings depend on besides; nothing where nothing is configured."""
        said: list[JsonValue] = [each.model_dump(mode="json") for each in self._recognisers]
        return {"recognisers": said} if said else {}

    async def _classify(self, request: ClassifyInput) -> Product[ClassifySummary]:
        version = request.version
        async with self._runner.transaction(version) as session:
            outputs = await outputs_of(session, version.job_id, StageName.READ)
        batches = await load_batches(self._runner.artifacts, version, outputs)
        pages = tuple(
            PageText(page=page.page, text=page.text, hidden=page.hidden)
            for batch in batches
            for page in batch.pages
        )
        asked = ClassifyRequest(pages=pages, recognisers=self._recognisers)
        findings = await self._sandbox.run(
            EngineCall("classify", asked, FindingList), limits=LIMITS
        )
        findings = with_boxes(findings, [page for batch in batches for page in batch.pages])
        is_complete = not findings.incomplete
        summary = ClassifySummary(finding_count=len(findings.findings), is_complete=is_complete)
        return Product(findings.model_dump_json().encode(), summary, is_complete)

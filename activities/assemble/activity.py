"""Temporal's face of stage `assemble`."""

from temporalio import activity

from activities.assemble.calls import DOCUMENT_NAME
from activities.assemble.product import AssembleSummary, assembled_fingerprint, assembled_product
from activities.engines import DocumentEngines
from activities.pages import load_batch_contents
from activities.stage import Product, StageRunner, StageTask
from db.queries.finding_policies import rules_of_file
from db.queries.stages import Opening, outputs_of
from muniment.contracts.assemble import AssembleActivities, AssembleInput, AssembleResult
from muniment.contracts.documents import DocumentPlan
from muniment.contracts.jobs import StageName


class Assemble(AssembleActivities):
    def __init__(self, runner: StageRunner, engines: DocumentEngines) -> None:
        self._runner = runner
        self._engines = engines

    @activity.defn(name="assemble_document")
    async def assemble_document(self, request: AssembleInput) -> AssembleResult:
        version = request.version
        async with self._runner.transaction(version) as session:
            outputs = await outputs_of(session, version.job_id, StageName.READ)
            rules = await rules_of_file(session, version.file_id)
        batches = [output.fingerprint for output in outputs]

        async def compute(_: Opening) -> Product[AssembleSummary]:
            artifacts = self._runner.artifacts
            plan = await artifacts.load(version.tenant_id, request.plan.blob_id, DocumentPlan)
            contents = await load_batch_contents(artifacts, version, outputs)
            assembled = await self._engines.assemble(plan, contents, name=DOCUMENT_NAME)
            return assembled_product(assembled)

        answer = await self._runner.run(
            StageTask(
                StageName.ASSEMBLE,
                version,
                AssembleSummary,
                lambda _: assembled_fingerprint(request.plan, batches),
                compute,
            )
        )
        return AssembleResult(
            document=answer.artifact,
            reused=answer.reused,
            item_count=answer.summary.item_count,
            is_judged=bool(rules),
        )

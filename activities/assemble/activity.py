"""Temporal's face of stage `assemble`."""

import re

from temporalio import activity

from activities.assemble.calls import TextFacts
from activities.engines import ENGINE_VERSIONS, DocumentEngines
from activities.fingerprints import fingerprint
from activities.pages import load_batch_contents
from activities.stage import Product, StageRunner, StageTask
from db.queries.stages import Opening, outputs_of
from muniment.contracts.assemble import AssembleActivities, AssembleInput, AssembleResult
from muniment.contracts.base import Contract
from muniment.contracts.documents import DocumentPlan
from muniment.contracts.jobs import StageName

DOCUMENT_NAME = "document"
"""Every document is called so inside: the same content under another name is the same document."""
_ITEM = re.compile(rb'"self_ref":"#/(?:texts|tables|pictures|key_value_items|form_items)/\d+"')
"""Within a text the quotation marks would be escaped."""


class AssembleSummary(Contract):
    item_count: int
    facts: TextFacts = TextFacts()


class Assemble(AssembleActivities):
    def __init__(self, runner: StageRunner, engines: DocumentEngines) -> None:
        self._runner = runner
        self._engines = engines

    @activity.defn(name="assemble_document")
    async def assemble_document(self, request: AssembleInput) -> AssembleResult:
        version = request.version
        async with self._runner.transaction(version) as session:
            outputs = await outputs_of(session, version.job_id, StageName.READ)
        inputs = [request.plan.fingerprint, *(output.fingerprint for output in outputs)]

        async def compute(_: Opening) -> Product[AssembleSummary]:
            artifacts = self._runner.artifacts
            plan = await artifacts.load(version.tenant_id, request.plan.blob_id, DocumentPlan)
            batches = await load_batch_contents(artifacts, version, outputs)
            assembled = await self._engines.assemble(plan, batches, name=DOCUMENT_NAME)
            content = assembled.document.encode()
            summary = AssembleSummary(item_count=_item_count(content), facts=assembled.facts)
            return Product(content, summary)

        answer = await self._runner.run(
            StageTask(
                StageName.ASSEMBLE,
                version,
                AssembleSummary,
                lambda _: fingerprint(StageName.ASSEMBLE, ENGINE_VERSIONS["assemble"], inputs),
                compute,
            )
        )
        return AssembleResult(
            document=answer.artifact,
            reused=answer.reused,
            item_count=answer.summary.item_count,
        )


def _item_count(document: bytes) -> int:
    """How many items the DoclingDocument holds: each names itself once. Read as JSON, a document of
    thousands of pages would take ten times its size."""
    return sum(1 for _ in _ITEM.finditer(document))

"""Ingestions that another workflow starts: one way for batches and for members."""

from temporalio import workflow
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.workflow import ChildWorkflowHandle, ParentClosePolicy

from muniment.contracts.base import VersionReference
from muniment.contracts.ingest_file import WORKFLOW as INGEST_FILE
from muniment.contracts.ingest_file import IngestFileInput, IngestFileResult
from muniment.contracts.jobs import StageName
from muniment.contracts.search_attributes import FILE, STAGE, TENANT
from workflows.steering import Steering


async def start_ingestion_child(
    version: VersionReference, workflow_id: str, steering: Steering
) -> ChildWorkflowHandle[object, IngestFileResult]:
    """An ingestion that is found in Temporal's UI as any other, and that outlives its parent: it is
    a job of its own. WorkflowAlreadyStartedError when it was started before, even if it has ended.
    """
    return await workflow.start_child_workflow(
        INGEST_FILE,
        IngestFileInput(version=version, priority=steering.level),
        id=workflow_id,
        result_type=IngestFileResult,
        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
        parent_close_policy=ParentClosePolicy.ABANDON,
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(TENANT, str(version.tenant_id)),
                SearchAttributePair(FILE, str(version.file_id)),
                SearchAttributePair(STAGE, StageName.SCAN.value),
            ]
        ),
        static_summary=f"Ingestion of version {version.version_id}",
        priority=steering.priority,
    )

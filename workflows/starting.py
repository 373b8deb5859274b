"""Starts workflows: the one way, for the API and for the reconciler.

Starting is idempotent by the workflow's id. A second start while one runs attaches to it; once it
has closed, the id is never used again, and the run that was is returned.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from temporalio.client import Client, ScheduleOverlapPolicy
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from muniment.contracts import queues
from muniment.contracts.answer_questions import LOOK as LOOK_AT_LIST
from muniment.contracts.answer_questions import WORKFLOW as ANSWER_QUESTIONS
from muniment.contracts.answer_questions import AnswerQuestionsInput
from muniment.contracts.answer_questions import workflow_id as answering_workflow_id
from muniment.contracts.attend_hold import LOOK as LOOK_AT_HOLD
from muniment.contracts.attend_hold import WORKFLOW as LEGAL_HOLD
from muniment.contracts.attend_hold import LegalHoldInput
from muniment.contracts.attend_hold import workflow_id as hold_workflow_id
from muniment.contracts.base import Contract, VersionReference
from muniment.contracts.compare_reading import WORKFLOW as COMPARE_READING
from muniment.contracts.compare_reading import CompareReadingInput
from muniment.contracts.deliver_webhook import WORKFLOW as DELIVER_WEBHOOK
from muniment.contracts.deliver_webhook import DeliverWebhookInput
from muniment.contracts.deliver_webhook import workflow_id as delivery_workflow_id
from muniment.contracts.erase_file import WORKFLOW as ERASE_FILE
from muniment.contracts.erase_file import EraseFileInput
from muniment.contracts.evaluate_retrieval import WORKFLOW as EVALUATE_RETRIEVAL
from muniment.contracts.evaluate_retrieval import EvaluateRetrievalInput
from muniment.contracts.expire_uploads import WAKE as WAKE_EXPIRY
from muniment.contracts.expire_uploads import WORKFLOW as EXPIRE_UPLOADS
from muniment.contracts.expire_uploads import ExpireUploadsInput
from muniment.contracts.expire_uploads import workflow_id as expiry_workflow_id
from muniment.contracts.ingest_batch import WORKFLOW as INGEST_BATCH
from muniment.contracts.ingest_batch import IngestBatchInput
from muniment.contracts.ingest_file import WORKFLOW as INGEST_FILE
from muniment.contracts.ingest_file import IngestFileInput
from muniment.contracts.jobs import JobKind, StageName
from muniment.contracts.move_tier import schedule_id as moves_schedule_id
from muniment.contracts.reindex import LOOK as LOOK_AT_INDEX
from muniment.contracts.reindex import WORKFLOW as REINDEX
from muniment.contracts.reindex import ReindexInput
from muniment.contracts.reindex import workflow_id as reindex_workflow_id
from muniment.contracts.render_view import WORKFLOW as RENDER_VIEW
from muniment.contracts.render_view import RedactedView, RenderViewInput, RenderViewResult
from muniment.contracts.retention_sweep import LOOK as LOOK_AT_SWEEP
from muniment.contracts.retention_sweep import WORKFLOW as RETENTION_SWEEP
from muniment.contracts.retention_sweep import RetentionSweepInput
from muniment.contracts.rotate_keys import WORKFLOW as ROTATE_KEYS
from muniment.contracts.rotate_keys import RotateKeysInput
from muniment.contracts.rotate_keys import workflow_id as rotation_workflow_id
from muniment.contracts.seal_audit import WORKFLOW as SEAL_AUDIT
from muniment.contracts.seal_audit import WORKFLOW_ID as SEAL_AUDIT_ID
from muniment.contracts.seal_audit import SealAuditInput
from muniment.contracts.search_attributes import FILE, STAGE, TENANT
from muniment.contracts.subject_requests import LOOK as LOOK_AT_SUBJECT
from muniment.contracts.subject_requests import WORKFLOW as SUBJECT_REQUEST
from muniment.contracts.subject_requests import SubjectRequestInput
from muniment.contracts.subject_requests import workflow_id as subject_workflow_id
from muniment.contracts.verify_integrity import WORKFLOW as VERIFY_INTEGRITY
from muniment.contracts.verify_integrity import VerifyIntegrityInput
from muniment.errors import ConfigurationError, OrchestratorUnavailable
from workflows.policies import (
    ANSWER_PRIORITY,
    DELIVERY_PRIORITY,
    EVALUATION_PRIORITY,
    EXPIRY_PRIORITY,
    HOLD_PRIORITY,
    REINDEX_PRIORITY,
    ROTATION_PRIORITY,
    SEAL_PRIORITY,
    SUBJECT_PRIORITY,
    SWEEP_PRIORITY,
    VERIFY_PRIORITY,
    priority,
)

START_TIMEOUT = timedelta(seconds=10)
ERASURE_PRIORITY = 1
VIEW_PRIORITY = 1
"""Somebody looks at the place where it will be."""
VIEW_TIMEOUT = timedelta(minutes=3)
REDACTION_TIMEOUT = timedelta(minutes=16)
"""Longer than the activity's own budget; without any worker, what was asked for is forgotten."""


class StartableJob(Protocol):
    """The columns of a job's row that say how to start it."""

    @property
    def id(self) -> UUID: ...
    @property
    def tenant_id(self) -> UUID: ...
    @property
    def kind(self) -> str: ...
    @property
    def file_id(self) -> UUID: ...
    @property
    def version_id(self) -> UUID | None: ...
    @property
    def workflow_id(self) -> str: ...
    @property
    def priority(self) -> int: ...


async def start_job(client: Client, job: StartableJob) -> str:
    """Starts what the committed job asks for; returns and raises as `start_ingestion` does."""
    if job.kind == JobKind.ERASE_FILE:
        erasure = EraseFileInput(tenant_id=job.tenant_id, file_id=job.file_id, job_id=job.id)
        return await start_erasure(client, job.workflow_id, erasure)
    if job.version_id is None:
        raise ConfigurationError(f"The job {job.id} names no version.")
    version = VersionReference(
        tenant_id=job.tenant_id,
        file_id=job.file_id,
        version_id=job.version_id,
        job_id=job.id,
    )
    if job.kind == JobKind.COMPARE_READING:
        comparison = CompareReadingInput(version=version, priority=job.priority)
        return await start_comparison(client, job.workflow_id, comparison)
    request = IngestFileInput(version=version, priority=job.priority)
    return await start_ingestion(client, job.workflow_id, request)


async def start_ingestion(client: Client, workflow_id: str, request: IngestFileInput) -> str:
    """Starts `IngestFile`; the id of the run that has this workflow id, begun now or before.

    Raises OrchestratorUnavailable when Temporal does not answer: the reconciler starts it later.
    """
    version = request.version
    start = _Start(
        workflow_id,
        tenant=str(version.tenant_id),
        file=str(version.file_id),
        summary=f"Ingestion of version {version.version_id}",
        level=request.priority,
        stage=StageName.SCAN,
    )
    return await start.carry_out(client, INGEST_FILE, request)


async def start_comparison(client: Client, workflow_id: str, request: CompareReadingInput) -> str:
    """Starts `CompareReading`; returns and raises as `start_ingestion` does."""
    version = request.version
    start = _Start(
        workflow_id,
        tenant=str(version.tenant_id),
        file=str(version.file_id),
        summary=f"Comparison of readings of version {version.version_id}",
        level=request.priority,
    )
    return await start.carry_out(client, COMPARE_READING, request)


async def start_erasure(client: Client, workflow_id: str, request: EraseFileInput) -> str:
    """Starts `EraseFile`; returns and raises as `start_ingestion` does."""
    start = _Start(
        workflow_id,
        tenant=str(request.tenant_id),
        file=str(request.file_id),
        summary=f"Erasure of file {request.file_id}",
        level=ERASURE_PRIORITY,
    )
    return await start.carry_out(client, ERASE_FILE, request)


async def render_view(
    client: Client, workflow_id: str, request: RenderViewInput, file_id: UUID
) -> RenderViewResult:
    """Starts `RenderView`, or joins the one that runs, and waits for its result; the caller bounds
    the waiting. A view that failed, or was erased, may be asked for again under the same id.

    Raises WorkflowFailureError, and OrchestratorUnavailable when Temporal does not answer.
    """
    try:
        handle = await client.start_workflow(
            RENDER_VIEW,
            request,
            id=workflow_id,
            task_queue=queues.WORKFLOWS,
            result_type=RenderViewResult,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            execution_timeout=REDACTION_TIMEOUT
            if isinstance(request.view, RedactedView)
            else VIEW_TIMEOUT,
            search_attributes=TypedSearchAttributes(
                [
                    SearchAttributePair(TENANT, str(request.tenant_id)),
                    SearchAttributePair(FILE, str(file_id)),
                ]
            ),
            static_summary=f"A view of version {request.version_id}",
            priority=priority(VIEW_PRIORITY, str(request.tenant_id)),
            rpc_timeout=START_TIMEOUT,
        )
        made: RenderViewResult = await handle.result()
    except RPCError as error:
        raise OrchestratorUnavailable(
            f"Temporal did not make a view ({error.status.name})."
        ) from error
    return made


async def start_batch(client: Client, workflow_id: str, request: IngestBatchInput) -> str:
    """Starts `IngestBatch`; returns and raises as `start_ingestion` does."""
    start = _Start(
        workflow_id,
        tenant=str(request.tenant_id),
        file=None,
        summary=f"Batch {request.batch_id}",
        level=request.priority,
    )
    return await start.carry_out(client, INGEST_BATCH, request)


async def start_verification(
    client: Client, workflow_id: str, request: VerifyIntegrityInput
) -> str:
    """Starts `VerifyIntegrity`; returns and raises as `start_ingestion` does. One whose workflow is
    gone while its run is open is started again under the same id."""
    start = _Start(
        workflow_id,
        tenant=str(request.tenant_id),
        file=None,
        summary="Verification of stored content",
        level=VERIFY_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )
    return await start.carry_out(client, VERIFY_INTEGRITY, request)


async def start_retention_sweep(
    client: Client, workflow_id: str, request: RetentionSweepInput
) -> str:
    """Starts `RetentionSweep`, or tells the one at work to look; returns and raises as `start_ingestion`
    does. One whose workflow is gone while its sweep is open is started again under the same id."""
    start = _Start(
        workflow_id,
        tenant=str(request.tenant_id),
        file=None,
        summary="Disposition of files that nothing keeps any more",
        level=SWEEP_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        signal=LOOK_AT_SWEEP,
    )
    return await start.carry_out(client, RETENTION_SWEEP, request)


async def start_sealing(client: Client) -> str:
    """Starts `SealAudit`, of all tenants' trails; returns and raises as `start_ingestion` does."""
    start = _Start(
        SEAL_AUDIT_ID,
        tenant=None,
        file=None,
        summary="Sealing of audit trails",
        level=SEAL_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )
    return await start.carry_out(client, SEAL_AUDIT, SealAuditInput())


async def start_evaluation(
    client: Client, workflow_id: str, request: EvaluateRetrievalInput
) -> str:
    """Starts `EvaluateRetrieval`; returns and raises as `start_ingestion` does. One whose workflow is gone
    while its run is open is started again under the same id."""
    start = _Start(
        workflow_id,
        tenant=str(request.tenant_id),
        file=None,
        summary="Evaluation of searches and answers",
        level=EVALUATION_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )
    return await start.carry_out(client, EVALUATE_RETRIEVAL, request)


async def start_answering(client: Client, request: AnswerQuestionsInput) -> str:
    """Starts `AnswerQuestions`, or has the one that runs look again whether it is paused; returns and raises
    as `start_ingestion` does. One whose workflow is gone while the list is open is started again under the
    same id."""
    start = _Start(
        answering_workflow_id(request.list_id),
        tenant=str(request.tenant_id),
        file=None,
        summary="Answers to a list of questions",
        level=ANSWER_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        signal=LOOK_AT_LIST,
    )
    return await start.carry_out(client, ANSWER_QUESTIONS, request)


async def start_hold(client: Client, request: LegalHoldInput) -> str:
    """Starts `LegalHold`, or has the one that runs look again; returns and raises as
    `start_ingestion` does."""
    start = _Start(
        hold_workflow_id(request.hold_id),
        tenant=str(request.tenant_id),
        file=None,
        summary="A legal hold",
        level=HOLD_PRIORITY,
        signal=LOOK_AT_HOLD,
    )
    return await start.carry_out(client, LEGAL_HOLD, request)


async def start_subject_request(client: Client, request: SubjectRequestInput) -> str:
    """Starts `SubjectRequest`, or has the one that runs look again; returns and raises as
    `start_ingestion` does. One whose workflow is gone is started again under the same id."""
    start = _Start(
        subject_workflow_id(request.request_id),
        tenant=str(request.tenant_id),
        file=None,
        summary="A person's request",
        level=SUBJECT_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        signal=LOOK_AT_SUBJECT,
    )
    return await start.carry_out(client, SUBJECT_REQUEST, request)


async def cancel_workflow(client: Client, workflow_id: str) -> bool:
    """Asks the workflow to end; False where there is none at work.

    Raises OrchestratorUnavailable when Temporal does not answer.
    """
    try:
        await client.get_workflow_handle(workflow_id).cancel(rpc_timeout=START_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise OrchestratorUnavailable(
                f"Temporal did not cancel a workflow ({error.status.name})."
            ) from error
        return False
    return True


async def hasten_moves(client: Client, tenant_id: UUID) -> None:
    """Has the tenant's schedule start `MoveTier` now, or once more when the one that runs has ended: so
    that two never run at once. Does nothing where there is no schedule yet: it begins with a run.

    Raises OrchestratorUnavailable when Temporal does not answer.
    """
    handle = client.get_schedule_handle(moves_schedule_id(tenant_id))
    try:
        await handle.trigger(overlap=ScheduleOverlapPolicy.BUFFER_ONE, rpc_timeout=START_TIMEOUT)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise OrchestratorUnavailable(
                f"Temporal did not start a schedule's run ({error.status.name})."
            ) from error


async def start_key_rotation(client: Client, request: RotateKeysInput) -> str:
    """Starts `RotateKeys`; returns and raises as `start_ingestion` does. One whose workflow is gone
    while it is open is started again under the same id."""
    start = _Start(
        rotation_workflow_id(request.rotation_id),
        tenant=str(request.tenant_id),
        file=None,
        summary="Rotation of the tenant's key",
        level=ROTATION_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )
    return await start.carry_out(client, ROTATE_KEYS, request)


async def start_reindex(client: Client, request: ReindexInput) -> str:
    """Starts `Reindex`, or has the one that runs look again whether it is paused; returns and raises as
    `start_ingestion` does. One whose workflow is gone while it is being built is started again under
    the same id."""
    start = _Start(
        reindex_workflow_id(request.index_version_id),
        tenant=str(request.tenant_id),
        file=None,
        summary="Another index of the tenant's passages by meaning",
        level=REINDEX_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        signal=LOOK_AT_INDEX,
    )
    return await start.carry_out(client, REINDEX, request)


async def start_delivery(client: Client, request: DeliverWebhookInput) -> str:
    """Starts `DeliverWebhook`; returns and raises as `start_ingestion` does."""
    start = _Start(
        delivery_workflow_id(request.delivery_id, request.round),
        tenant=str(request.tenant_id),
        file=None,
        summary=f"Delivery to endpoint {request.webhook_id}",
        level=DELIVERY_PRIORITY,
    )
    return await start.carry_out(client, DELIVER_WEBHOOK, request)


async def wake_expiry(client: Client, tenant_id: UUID) -> str:
    """Starts the tenant's `ExpireUploads`, or has the one that runs look again now, also where it is about
    to end; returns and raises as `start_ingestion` does."""
    start = _Start(
        expiry_workflow_id(tenant_id),
        tenant=str(tenant_id),
        file=None,
        summary="Expiry of unfinished uploads",
        level=EXPIRY_PRIORITY,
        reuse=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        signal=WAKE_EXPIRY,
    )
    return await start.carry_out(client, EXPIRE_UPLOADS, ExpireUploadsInput(tenant_id=tenant_id))


@dataclass(frozen=True)
class _Start:
    """How a workflow is started: ids only, since none of it is encrypted but the summary. `signal` is sent
    in the same request, to the one that runs as well."""

    workflow_id: str
    tenant: str | None
    file: str | None
    summary: str
    level: int
    stage: StageName | None = None
    reuse: WorkflowIDReusePolicy = WorkflowIDReusePolicy.REJECT_DUPLICATE
    signal: str | None = None

    async def carry_out(self, client: Client, workflow: str, request: Contract) -> str:
        try:
            handle = await client.start_workflow(
                workflow,
                request,
                id=self.workflow_id,
                task_queue=queues.WORKFLOWS,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=self.reuse,
                search_attributes=self._search_attributes(),
                static_summary=self.summary,
                priority=priority(self.level, self.tenant or self.workflow_id),
                start_signal=self.signal,
                rpc_timeout=START_TIMEOUT,
            )
        except WorkflowAlreadyStartedError as error:
            return error.run_id or ""
        except RPCError as error:
            raise OrchestratorUnavailable(
                f"Temporal did not start a workflow ({error.status.name})."
            ) from error
        return handle.result_run_id or ""

    def _search_attributes(self) -> TypedSearchAttributes:
        pairs: list[SearchAttributePair[str]] = []
        if self.tenant is not None:
            pairs.append(SearchAttributePair(TENANT, self.tenant))
        if self.file is not None:
            pairs.append(SearchAttributePair(FILE, self.file))
        if self.stage is not None:
            pairs.append(SearchAttributePair(STAGE, self.stage.value))
        return TypedSearchAttributes(pairs)

"""Which queue is served by which workflows and activities, with how many slots."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from muniment.contracts import queues
from muniment.errors import ConfigurationError
from muniment.settings import WorkerSettings
from worker.parts import Parts
from worker.slots import standing_aside
from workflows.answer_questions import AnswerQuestions
from workflows.compare_reading import CompareReading
from workflows.deliver_webhook import DeliverWebhook
from workflows.erase_file import EraseFile
from workflows.evaluate_retrieval import EvaluateRetrieval
from workflows.expire_uploads import ExpireUploads
from workflows.ingest_batch import IngestBatch
from workflows.ingest_file import IngestFile
from workflows.ingest_members import IngestMembers
from workflows.legal_hold import LegalHold
from workflows.merge_postings import MergePostings
from workflows.move_tier import MoveTier
from workflows.read_pages import ReadPages
from workflows.reindex import Reindex
from workflows.remind_tasks import RemindTasks
from workflows.render_view import RenderView
from workflows.retention_sweep import RetentionSweep
from workflows.rotate_keys import RotateKeys
from workflows.seal_audit import SealAudit
from workflows.subject_request import SubjectRequest
from workflows.verify_integrity import VerifyIntegrity

WORKFLOW_CLASSES: tuple[type, ...] = (
    *(IngestFile, IngestMembers, IngestBatch, ReadPages),
    *(EraseFile, RenderView, CompareReading, VerifyIntegrity, MoveTier, RotateKeys),
    *(DeliverWebhook, ExpireUploads, MergePostings, Reindex, EvaluateRetrieval),
    *(AnswerQuestions, SealAudit, LegalHold, RetentionSweep, RemindTasks, SubjectRequest),
)

HEARTBEAT_THROTTLE_SECONDS = 1.0
"""The SDK would pass on a beat every twelve seconds only, and a cancellation with it."""

VERIFY_SLOTS = 2
"""A batch has the process's pace to itself, or shares it with one other: more would all take longer."""

EVALUATE_SLOTS = 1
"""Evaluations ask one after another: what people ask at the same time has the database to itself but for
one search."""

PASSED_THROUGH = ("muniment", "workflows", "pydantic", "pydantic_core", "annotated_types")
"""Stateless modules: loading them anew for every workflow would cost each its first task."""

ActivityFunction = Callable[..., Any]  # what Worker itself takes


@dataclass(frozen=True)
class Service:
    """What a worker process does on one queue. `long_stand_aside`: activities that run long leave
    their slots to others."""

    queue: str
    slots: int
    activities: Sequence[ActivityFunction]
    workflows: Sequence[type] = field(default=())
    long_stand_aside: bool = False


def services(
    names: Sequence[str], parts: Parts, settings: WorkerSettings, cores: int
) -> list[Service]:
    """The queues by name; ConfigurationError for one that no worker here serves."""
    cpu = settings.cpu_slots or cores
    known = {
        queues.WORKFLOWS: lambda: Service(
            queues.WORKFLOWS, settings.io_slots, parts.io_activities(), WORKFLOW_CLASSES
        ),
        queues.SCAN: lambda: Service(queues.SCAN, settings.scan_slots, parts.scan_activities()),
        queues.PARSE: lambda: Service(
            queues.PARSE, cpu, parts.parse_activities(), long_stand_aside=True
        ),
        queues.OCR_CPU: lambda: Service(queues.OCR_CPU, cpu, parts.read_activities()),
        queues.OCR_GPU: lambda: Service(queues.OCR_GPU, parts.gpu_slots, parts.gpu_activities()),
        queues.EMBED: lambda: Service(queues.EMBED, cpu, parts.embed_activities()),
        queues.VERIFY: lambda: Service(queues.VERIFY, VERIFY_SLOTS, parts.verify_activities()),
        queues.EVALUATE: lambda: Service(
            queues.EVALUATE, EVALUATE_SLOTS, parts.evaluate_activities()
        ),
        queues.DELIVER: lambda: Service(
            queues.DELIVER, parts.deliver_slots, parts.deliver_activities()
        ),
    }
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise ConfigurationError(
            f"no worker serves {', '.join(unknown)}",
            remedy=f"Name some of {', '.join(known)}.",
        )
    return [known[name]() for name in names]


def build_worker(
    client: Client, service: Service, settings: WorkerSettings, identity: str | None = None
) -> Worker:
    """A worker of that one queue; `identity` is what Temporal calls it."""
    return Worker(
        client,
        task_queue=service.queue,
        identity=identity,
        activities=service.activities,
        workflows=service.workflows,
        workflow_runner=workflow_runner(sandboxed=settings.workflow_sandbox),
        tuner=standing_aside(service.slots) if service.long_stand_aside else None,
        max_concurrent_activities=None if service.long_stand_aside else service.slots,
        max_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_THROTTLE_SECONDS),
        default_heartbeat_throttle_interval=timedelta(seconds=HEARTBEAT_THROTTLE_SECONDS),
        graceful_shutdown_timeout=timedelta(seconds=settings.graceful_shutdown_seconds),
    )


def workflow_runner(*, sandboxed: bool) -> WorkflowRunner:
    """What runs workflow code: the SDK's sandbox, with our stateless modules shared, or nothing in
    between (docs/decisions/0007-workflow-sandbox.md)."""
    if not sandboxed:
        return UnsandboxedWorkflowRunner()
    return SandboxedWorkflowRunner(
        restrictions=SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    )

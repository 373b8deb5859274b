"""Asks a job's workflow how far it is; the job's row answers when the workflow does not."""

import logging
from datetime import timedelta

from temporalio.client import WorkflowQueryFailedError, WorkflowQueryRejectedError
from temporalio.service import RPCError

from api.jobs.schemas import Job
from api.jobs.view import JobFacts
from api.orchestrator import Orchestrator
from muniment.contracts.ingest_file import PROGRESS_QUERY
from muniment.contracts.jobs import JobKind, JobProgress, JobState

logger = logging.getLogger(__name__)


async def ask(temporal: Orchestrator, facts: JobFacts) -> Job:
    """The job as it is now. A finished one, and one that Temporal never took, is as recorded; one
    whose workflow does not answer in time is as recorded and `stale`."""
    record = facts.record
    if JobState(record.state).is_terminal or record.kind != JobKind.INGEST_FILE:
        return facts.recorded()
    progress = await _query(temporal, record.workflow_id)
    if progress is None:
        return facts.recorded(stale=True)
    return facts.asked(progress)


async def _query(temporal: Orchestrator, workflow_id: str) -> JobProgress | None:
    try:
        progress: JobProgress = await temporal.client.get_workflow_handle(workflow_id).query(
            PROGRESS_QUERY,
            result_type=JobProgress,
            rpc_timeout=timedelta(seconds=temporal.query_timeout_seconds),
        )
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError, RuntimeError) as error:
        logger.info("a workflow did not answer", extra={"reason": type(error).__name__})
        return None
    return progress

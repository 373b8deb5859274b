"""What people tell a running job: Temporal's cancellation, and the workflow's own updates."""

import asyncio
from datetime import timedelta

from temporalio.client import (
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from api.jobs.starting import start_job
from api.services import Services
from db.models import Job
from muniment.contracts.base import Contract
from muniment.errors import Conflict, OrchestratorUnavailable

_UNANSWERED = (RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED, RPCStatusCode.UNAVAILABLE)
NO_WORKER = "the job's workflow did not answer in time: no worker may be running"
CLOSED = "the job's workflow is over"


async def cancel(services: Services, job: Job) -> None:
    """Asks Temporal to cancel; the running page is told within seconds.

    A job that was committed but never started is started first, so that it ends as every other.
    """
    await _require_started(services, job)
    timeout = timedelta(seconds=services.temporal.update_timeout_seconds)
    try:
        await _handle(services, job).cancel(rpc_timeout=timeout)
    except RPCError as error:
        raise _ours(error) from error


async def tell(services: Services, job: Job, update: str, argument: Contract | None = None) -> None:
    """As `tell_workflow`, for the job's. A job that was committed but never started is started first:
    its workflow is not over, it has not begun."""
    await _require_started(services, job)
    await tell_workflow(services, job.workflow_id, update, argument)


async def tell_workflow(
    services: Services, workflow_id: str, update: str, argument: Contract | None = None
) -> None:
    """Sends an update and waits for the workflow's answer.

    Raises Conflict when its validator refuses or it is over, OrchestratorUnavailable when nobody
    answers.
    """
    timeout = timedelta(seconds=services.temporal.update_timeout_seconds)
    handle = services.temporal.client.get_workflow_handle(workflow_id)
    try:
        # The SDK waits for an update's answer longer than one call's time-out.
        async with asyncio.timeout(timeout.total_seconds()):
            if argument is None:
                await handle.execute_update(update, rpc_timeout=timeout)
            else:
                await handle.execute_update(update, argument, rpc_timeout=timeout)
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        detail = cause.message if isinstance(cause, ApplicationError) else "the job refuses it now"
        raise Conflict(detail) from error
    except (WorkflowUpdateRPCTimeoutOrCancelledError, TimeoutError, RuntimeError) as error:
        raise OrchestratorUnavailable(NO_WORKER) from error
    except RPCError as error:
        raise _ours(error) from error


async def _require_started(services: Services, job: Job) -> None:
    if job.started_at is None and not await start_job(services, job):
        raise OrchestratorUnavailable("Temporal does not take the job now")


def _handle(services: Services, job: Job) -> WorkflowHandle[object, object]:
    return services.temporal.client.get_workflow_handle(job.workflow_id)


def _ours(error: RPCError) -> Conflict | OrchestratorUnavailable:
    if error.status is RPCStatusCode.NOT_FOUND:
        return Conflict(CLOSED)
    if error.status in _UNANSWERED:
        return OrchestratorUnavailable(NO_WORKER)
    return OrchestratorUnavailable(f"Temporal refused ({error.status.name})")

"""Whether a workflow that has something in hand is still at work."""

import asyncio

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from muniment.errors import OrchestratorUnavailable

DESCRIBE_SECONDS = 10


async def is_running(workflow_id: str) -> bool:
    """Whether Temporal still has the workflow at work: one that was terminated told nobody."""
    handle = activity.client().get_workflow_handle(workflow_id)
    try:
        async with asyncio.timeout(DESCRIBE_SECONDS):
            found = await handle.describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise OrchestratorUnavailable("Temporal did not say whether a workflow runs.") from error
    except TimeoutError as error:
        raise OrchestratorUnavailable("Temporal did not say whether a workflow runs.") from error
    return found.status is WorkflowExecutionStatus.RUNNING

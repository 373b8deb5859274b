"""Whether a workflow that the database believes to be at work is over."""

from datetime import timedelta

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from muniment.errors import OrchestratorUnavailable

DESCRIBE_TIMEOUT = timedelta(seconds=5)


async def require_namespace(client: Client) -> None:
    """OrchestratorUnavailable unless the namespace is there: where it is missing every workflow is,
    and none of them is over."""
    request = DescribeNamespaceRequest(namespace=client.namespace)
    try:
        await client.workflow_service.describe_namespace(request, timeout=DESCRIBE_TIMEOUT)
    except RPCError as error:
        raise OrchestratorUnavailable(
            f"Temporal did not describe the namespace ({error.status.name})."
        ) from error


async def is_over(client: Client, workflow_id: str) -> bool:
    """Whether the latest run of that id has ended, or is gone. OrchestratorUnavailable."""
    try:
        description = await client.get_workflow_handle(workflow_id).describe(
            rpc_timeout=DESCRIBE_TIMEOUT
        )
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return True
        raise OrchestratorUnavailable(
            f"Temporal did not describe a workflow ({error.status.name})."
        ) from error
    return description.status is not WorkflowExecutionStatus.RUNNING

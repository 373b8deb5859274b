"""What the database believes to be at work, and whose workflow is over."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import ClassVar, Generic, Protocol, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from db.session import Database
from muniment.errors import OrchestratorUnavailable
from worker.rounds import go_round

DESCRIBE_TIMEOUT = timedelta(seconds=5)
INTERVAL_SECONDS = 300.0
MIN_AGE = timedelta(minutes=1)


class RunsAsWorkflow(Protocol):
    """What a workflow of that id works at."""

    @property
    def workflow_id(self) -> str: ...


OpenT = TypeVar("OpenT", bound=RunsAsWorkflow)


class LostWork(ABC, Generic[OpenT]):
    """Ends what was started, has not ended, and has no workflow any more. Ending it twice must change
    nothing: any number of workers may run one.

    A workflow records its end before it ends: one that is over while its row, read after, is not, will
    never record it.
    """

    failure_message: ClassVar[str]
    """What the log says of a round that failed."""

    def __init__(
        self,
        database: Database,
        client: Client,
        interval_seconds: float = INTERVAL_SECONDS,
        min_age: timedelta = MIN_AGE,
    ) -> None:
        self._database = database
        self._client = client
        self._interval_seconds = interval_seconds
        self._min_age = min_age

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            self.failure_message,
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> int:
        """Asks Temporal about all that was started and has not ended, a page at a time; how many were
        lost."""
        await require_namespace(self._client)
        lost, after = 0, None
        while True:
            async with self._database.across_tenants() as session:
                page = await self._list_open(session, self._min_age, after)
            if not page:
                return lost
            for each in page:
                if await is_over(self._client, each.workflow_id) and await self._end(each):
                    lost += 1
            after = self._id(page[-1])

    @abstractmethod
    async def _list_open(
        self, session: AsyncSession, min_age: timedelta, after: UUID | None
    ) -> Sequence[OpenT]:
        """Those started that long ago and not ended, in the order of their ids, after the given one."""

    @abstractmethod
    def _id(self, open_one: OpenT) -> UUID: ...

    @abstractmethod
    async def _end(self, open_one: OpenT) -> bool:
        """Whether it was lost: it had not ended after all."""


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

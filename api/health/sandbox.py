"""How the workers that parse documents are confined, as they call themselves to Temporal."""

import time
from dataclasses import dataclass
from datetime import timedelta

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from api.health.checks import Finding, Fine
from api.orchestrator import Orchestrator
from muniment.contracts import queues
from muniment.contracts.worker_identity import FULL_SANDBOX, PROGRAM_SANDBOX, read_sandbox
from muniment.errors import OrchestratorUnavailable

_RPC_TIMEOUT = timedelta(seconds=2)
_LONGEST_POLL_SECONDS = 90.0
"""A poll lasts a minute; the server remembers pollers for minutes after their death."""


@dataclass(frozen=True)
class SandboxCheck:
    temporal: Orchestrator

    async def probe(self) -> Finding | Fine:
        """The weakest tier among the workers, for parsers and for external programs, which are not
        missed: where they cannot be confined they do not run. Raises OrchestratorUnavailable."""
        identities = await self._pollers()
        if not identities:
            return Finding(
                f"no worker polls {queues.PARSE}: files wait to be read",
                "Start one: `muniment worker --queues muniment-parse`; see its log if it ended.",
            )
        for identity in identities:
            tier = read_sandbox(identity)
            if missing := [part for part in FULL_SANDBOX if part not in tier]:
                return Finding(
                    f"worker {identity.partition(' ')[0]} parses documents without"
                    f" {' and '.join(missing)}",
                    "Run it on Linux 5.13 or later with Landlock and seccomp allowed"
                    " (a container's security profile may forbid them).",
                )
        confined = all(PROGRAM_SANDBOX in read_sandbox(identity) for identity in identities)
        programs = f"in {PROGRAM_SANDBOX}" if confined else "none"
        return Fine(f"{', '.join(FULL_SANDBOX)}; external programs: {programs}")

    async def _pollers(self) -> list[str]:
        client = self.temporal.client
        request = DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=queues.PARSE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        try:
            answer = await client.workflow_service.describe_task_queue(
                request, timeout=_RPC_TIMEOUT
            )
        except (RPCError, RuntimeError) as error:
            raise OrchestratorUnavailable(
                f"Temporal does not answer ({type(error).__name__})"
            ) from error
        since = (time.time() - _LONGEST_POLL_SECONDS) * 1e6
        return [
            poller.identity
            for poller in answer.pollers
            if poller.last_access_time.ToMicroseconds() > since
        ]

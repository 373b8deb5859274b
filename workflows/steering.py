"""Pause, resume and priority, as far as they govern what is scheduled next."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from temporalio import workflow
from temporalio.common import Priority
from temporalio.exceptions import ActivityError
from temporalio.workflow import ActivityConfig

from workflows.failures import is_paused
from workflows.policies import priority

STOP_BETWEEN_STAGES = "stop-between-stages"
ResultT = TypeVar("ResultT")


class Steering:
    """What a person set for a workflow; `tenant` is the fairness key."""

    def __init__(self, level: int, tenant: str, *, paused: bool = False) -> None:
        self.level = level
        self.paused = paused
        self.stopped = False
        self._tenant = tenant

    def configured(self, policy: ActivityConfig, summary: str) -> ActivityConfig:
        """The policy with the priority of this moment; `summary` is what Temporal's UI shows."""
        config = policy.copy()
        config["priority"] = self.priority
        config["summary"] = summary
        return config

    @property
    def priority(self) -> Priority:
        """For what is scheduled from now on."""
        return priority(self.level, self._tenant)

    def stop(self) -> None:
        """Nothing further begins. An activity that completes although it was cancelled takes the
        cancellation with it: without this its successor would begin as if nothing had been said."""
        if workflow.patched(STOP_BETWEEN_STAGES):
            self.stopped = True

    async def unpaused(self) -> None:
        """Returns once the workflow may go on; CancelledError when it may not any more."""
        await workflow.wait_condition(lambda: self.stopped or not self.paused)
        if self.stopped:
            raise asyncio.CancelledError

    async def when_unpaused(self, schedule: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """The result of what `schedule` starts, which is not started while paused. An activity
        that was queued before the pause and came up in it did nothing, and is scheduled again."""
        while True:
            await self.unpaused()
            try:
                return await schedule()
            except ActivityError as error:
                if not is_paused(error):
                    raise

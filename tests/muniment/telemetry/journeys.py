"""Workflows that the request-context tests run on a real server, inside the usual sandbox."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow
from temporalio.common import RetryPolicy

TIMEOUT = timedelta(seconds=20)


class Seen(BaseModel):
    """The log context that an activity found."""

    by: str
    request_id: str | None
    workflow_id: str | None
    activity: str | None
    attempt: str | None


@workflow.defn
class Child:
    @workflow.run
    async def run(self) -> Seen:
        seen: Seen = await workflow.execute_activity(
            "look", "child", start_to_close_timeout=TIMEOUT, result_type=Seen
        )
        return seen


@workflow.defn
class Stumble:
    """Runs an activity that fails twice."""

    @workflow.run
    async def run(self) -> None:
        retry = RetryPolicy(initial_interval=timedelta(milliseconds=10))
        await workflow.execute_activity(
            "stumble", start_to_close_timeout=TIMEOUT, retry_policy=retry
        )


@workflow.defn
class Journey:
    """Looks by every way there is, waits for a signal and an update, and continues as new once."""

    def __init__(self) -> None:
        self._seen: list[Seen] = []
        self._signalled = False
        self._updated = False

    @workflow.run
    async def run(self, round_number: int) -> list[Seen]:
        workflow.logger.warning("in the workflow")
        if round_number == 2:
            return [await self._look("continued")]
        self._seen.append(await self._look("main"))
        self._seen.append(
            await workflow.execute_activity(
                "look_in_thread", "thread", start_to_close_timeout=TIMEOUT, result_type=Seen
            )
        )
        self._seen.append(
            await workflow.execute_local_activity(
                "look", "local", start_to_close_timeout=TIMEOUT, result_type=Seen
            )
        )
        self._seen.append(await workflow.execute_child_workflow(Child.run))
        await workflow.wait_condition(lambda: self._signalled and self._updated)
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._seen.append(await self._look("after"))
        if round_number == 1:
            workflow.continue_as_new(2)
        return self._seen

    @workflow.signal
    async def poke(self) -> None:
        self._seen.append(await self._look("signal"))
        self._signalled = True

    @workflow.update
    async def ask(self) -> Seen:
        seen = await self._look("update")
        self._updated = True
        return seen

    async def _look(self, by: str) -> Seen:
        seen: Seen = await workflow.execute_activity(
            "look", by, start_to_close_timeout=TIMEOUT, result_type=Seen
        )
        return seen

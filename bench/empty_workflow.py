"""A workflow that does nothing, activity by activity, on the same Temporal server."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio import activity, workflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.worker import Worker

_QUEUE = "muniment-bench"
_TIMEOUT = timedelta(seconds=30)


@activity.defn(name="nothing")
async def nothing(_: str) -> str:
    return "done"


@workflow.defn(name="Empty")
class Empty:
    @workflow.run
    async def run(self, activities: list[str]) -> None:
        for name in activities:
            await workflow.execute_activity(nothing, name, start_to_close_timeout=_TIMEOUT)


async def activities_of(client: Client, workflow_id: str) -> list[str]:
    """The names of the activities that a workflow ran, in order."""
    history = await client.get_workflow_handle(workflow_id).fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    ]


@asynccontextmanager
async def empty_workflows(client: Client) -> AsyncIterator[Callable[[list[str]], Awaitable[None]]]:
    """Gives a function that runs an empty workflow of as many activities, one after the other."""

    async def run(activities: list[str]) -> None:
        await client.execute_workflow(
            Empty.run,
            activities,
            id=f"bench-empty-{uuid.uuid4()}",
            task_queue=_QUEUE,
            execution_timeout=_TIMEOUT,
        )

    async with Worker(client, task_queue=_QUEUE, workflows=[Empty], activities=[nothing]):
        yield run

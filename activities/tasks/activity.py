"""Temporal's face of reminders."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from db.audit import Act, record
from db.models import now
from db.queries import tasks
from db.queries.tasks import Task
from db.session import Access, Database
from muniment.contracts.remind_tasks import (
    RemindTasksInput,
    RemindTasksResult,
    TaskReminderActivities,
)
from muniment.errors import MunimentError

BATCH_TASKS = 100
"""Of a transaction."""
MAX_BATCHES = 10
"""Of a round: the rest is due in the next one."""


@dataclass(frozen=True)
class ReminderPolicy:
    """After how many days tasks are due, by the parameters of `db.queries.task_kinds`, and how often what is
    overdue is reminded of."""

    days: Mapping[str, int]
    interval: timedelta


class TaskReminders(TaskReminderActivities):
    def __init__(self, database: Database, policy: ReminderPolicy) -> None:
        self._database = database
        self._policy = policy

    @activity.defn(name="remind_tasks")
    async def remind_tasks(self, request: RemindTasksInput) -> RemindTasksResult:
        as_of, reminded = now(), 0
        try:
            for _ in range(MAX_BATCHES):
                async with self._database.transaction(Access(request.tenant_id)) as session:
                    sent = await remind(session, request, self._policy, as_of)
                reminded += sent
                if sent < BATCH_TASKS:
                    break
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error
        return RemindTasksResult(reminded=reminded)


async def remind(
    session: AsyncSession, request: RemindTasksInput, policy: ReminderPolicy, as_of: datetime
) -> int:
    """Of a batch of what is overdue at that time and was not reminded of within the interval; how many."""
    await tasks.take_turn(session)
    due = await tasks.due_for_reminder(session, policy.days, as_of, policy.interval, BATCH_TASKS)
    for task in due:
        await tasks.emit_overdue(session, request.tenant_id, task, task.reminders + 1)
        record(session, _reminder(task, request))
    return len(due)


def _reminder(task: Task, request: RemindTasksInput) -> Act:
    return Act(
        action=tasks.OVERDUE,
        object_type="task",
        object_id=task.subject_id,
        tenant_id=request.tenant_id,
        payload={"task_id": task.id, "kind": task.kind, "due_at": task.due_at.isoformat()},
    )

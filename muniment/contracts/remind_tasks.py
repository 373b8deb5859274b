"""The `RemindTasks` workflow: what waits for people and is overdue is told to webhooks and written into the
audit trail, each task once in an interval.

Histories carry the tenant and counts: what waits is in rows.
"""

from abc import ABC, abstractmethod
from uuid import UUID

from temporalio import activity

from muniment.contracts.base import Contract

WORKFLOW = "RemindTasks"


class RemindTasksInput(Contract):
    tenant_id: UUID


class RemindTasksResult(Contract):
    reminded: int


def schedule_id(tenant_id: UUID) -> str:
    """Of the tenant's schedule; Temporal names the workflows that it starts after it."""
    return f"remind-tasks-{tenant_id}"


class TaskReminderActivities(ABC):
    @activity.defn(name="remind_tasks")
    @abstractmethod
    async def remind_tasks(self, request: RemindTasksInput) -> RemindTasksResult:
        """Sends what is due, so many at most. Idempotent: who was reminded is not due again."""

"""People are reminded of what waits for them and is overdue."""

from temporalio import workflow

from muniment.contracts.remind_tasks import WORKFLOW, RemindTasksInput, TaskReminderActivities
from workflows.policies import REMIND


@workflow.defn(name=WORKFLOW)
class RemindTasks:
    """One round. What it did not get to is due in the next one."""

    @workflow.run
    async def run(self, request: RemindTasksInput) -> None:
        done = await workflow.execute_activity_method(
            TaskReminderActivities.remind_tasks, request, **REMIND
        )
        workflow.set_current_details(f"{done.reminded} overdue tasks were reminded of")

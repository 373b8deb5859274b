"""What waits for people, as the caller may see it. Nothing is decided here, and nothing kept."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.authentication import Caller
from api.services import Services
from api.tasks.schemas import Task, TaskTotal, task_view
from db.models import now
from db.queries import tasks
from db.queries.tasks import TaskFilter, TaskView
from muniment.contracts.tasks import TaskKind
from muniment.errors import NotFound


def view_of(services: Services, caller: Caller) -> TaskView:
    days = services.tasks.due_days
    return tasks.view_of(caller.scopes, caller.principal_id, days, now())


async def list_tasks(
    session: AsyncSession,
    view: TaskView,
    wanted: TaskFilter,
    *,
    limit: int,
    after: tuple[datetime, str] | None,
) -> Sequence[tasks.Task]:
    return await tasks.list_tasks(session, view, wanted, limit=limit, after=after)


async def totals(session: AsyncSession, view: TaskView, wanted: TaskFilter) -> list[TaskTotal]:
    return [TaskTotal.of(each) for each in await tasks.totals(session, view, wanted)]


async def require_task(session: AsyncSession, view: TaskView, task_id: str) -> Task:
    """Raises NotFound also where it was decided, and where the caller may not see it."""
    wanted = _named(task_id)
    found = [] if wanted is None else await tasks.list_tasks(session, view, wanted, limit=1)
    if not found or found[0].id != task_id:
        raise NotFound("there is no such task, or it was decided")
    return task_view(found[0], view)


def _named(task_id: str) -> TaskFilter | None:
    """What `muniment.contracts.tasks.task_id` made the id of; None for any other words."""
    kind, *ids = task_id.split(".")
    try:
        subject_id, *assignee = (UUID(each) for each in ids)
        return TaskFilter(
            kind=TaskKind(kind), subject_id=subject_id, assignee=assignee[0] if assignee else None
        )
    except ValueError:
        return None

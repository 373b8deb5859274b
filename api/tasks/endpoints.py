"""`/v1/tasks`."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query

from api.authentication import Caller, require
from api.pagination import DEFAULT_LIMIT, Cursor, Limit, cut, decode_cursor, encode_cursor
from api.problem_responses import problems
from api.retention.schemas import Time
from api.services import Provided
from api.tasks import service
from api.tasks.schemas import Task, TaskCursor, TaskPage, task_view
from db.queries.tasks import TaskFilter
from muniment.contracts.tasks import TaskKind

router = APIRouter(prefix="/v1/tasks", tags=["governance"])

Reader = Annotated[Caller, Depends(require("files:read"))]


@router.get(
    "", summary="List what waits for people, what is due first first", responses=problems(400)
)
async def list_tasks(
    services: Provided,
    caller: Reader,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
    kind: Annotated[TaskKind | None, Query(description="Tasks of this kind.")] = None,
    due_before: Annotated[Time | None, Query(description="Due before that time.")] = None,
    overdue: Annotated[bool, Query(description="Only what is due already.")] = False,
    assignee: Annotated[
        UUID | None, Query(description="What this principal alone can decide.")
    ] = None,
    mine: Annotated[bool, Query(description="What the caller alone can decide.")] = False,
) -> TaskPage:
    """Of the kinds that the caller's scopes reach, and of files that it may read. What was decided is gone
    at once; a decision that did not reach its workflow within five minutes waits again."""
    place = decode_cursor(TaskCursor, cursor)
    view = service.view_of(services, caller)
    wanted = TaskFilter(
        kind=kind,
        due_before=due_before,
        is_overdue=overdue,
        assignee=caller.principal_id if mine else assignee,
    )
    async with services.database.transaction(caller.access) as session:
        after = place.key() if place else None
        rows = await service.list_tasks(session, view, wanted, limit=limit + 1, after=after)
        totals = await service.totals(session, view, wanted)
    shown, last = cut(rows, limit)
    following = TaskCursor(at=last.due_at, id=last.id) if last else None
    return TaskPage(
        data=[task_view(row, view) for row in shown],
        next_cursor=encode_cursor(following) if following else None,
        totals=totals,
    )


@router.get("/{task_id}", summary="Show what waits for somebody", responses=problems(404))
async def show_task(
    task_id: Annotated[str, Path(max_length=200)], services: Provided, caller: Reader
) -> Task:
    """While it waits."""
    async with services.database.transaction(caller.access) as session:
        return await service.require_task(session, service.view_of(services, caller), task_id)

"""`/v1/tasks`: what waits for people."""

from datetime import datetime
from uuid import UUID

from muniment.client.building import Id, get, id_text, segment, time_text
from muniment.client.models import Record
from muniment.client.operations import AsyncResource, Operation, Resource
from muniment.client.protocol import Call

_PATH = "/v1/tasks"


class TaskSubject(Record):
    """What waits (a job, an erasure, a legal_hold), and where it is shown."""

    type: str
    id: UUID
    href: str
    title: str | None = None


class TaskAction(Record):
    """A route by which it is decided."""

    name: str
    method: str
    href: str


class Task(Record):
    """`may_decide` is the scope that deciding asks for; with an `assignee` that principal alone decides."""

    id: str
    kind: str
    subject: TaskSubject
    file_id: UUID | None = None
    since: datetime
    due_at: datetime
    overdue: bool = False
    reminders: int = 0
    assignee: UUID | None = None
    may_decide: str = ""
    actions: tuple[TaskAction, ...] = ()


class TaskTotal(Record):
    """Of a kind: those that fit the filters but the kind, and the overdue among them."""

    kind: str
    total: int
    overdue: int


class Tasks(Record):
    """A page, what is due first first; `next_cursor` is null on the last one."""

    data: tuple[Task, ...]
    next_cursor: str | None = None
    totals: tuple[TaskTotal, ...] = ()


def list_tasks(
    *,
    kind: str | None = None,
    due_before: datetime | None = None,
    overdue: bool = False,
    assignee: Id | None = None,
    mine: bool = False,
    limit: int = 50,
    cursor: str | None = None,
) -> Call[Tasks]:
    """That the caller may see."""
    query = {
        "kind": kind,
        "due_before": time_text(due_before),
        "overdue": True if overdue else None,
        "assignee": id_text(assignee),
        "mine": True if mine else None,
        "limit": limit,
        "cursor": cursor,
    }
    return get(_PATH, Tasks, query)


def get_task(task_id: str) -> Call[Task]:
    """NotFound once it was decided."""
    return get(f"{_PATH}/{segment(task_id)}", Task)


class TaskOperations:
    """`/v1/tasks`."""

    list = Operation(list_tasks)
    get = Operation(get_task)


class TaskList(TaskOperations, Resource):
    """`/v1/tasks`."""


class AsyncTaskList(TaskOperations, AsyncResource):
    """`/v1/tasks`."""

"""Tasks as clients see them."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel

from api.retention.schemas import Time
from api.storable_text import StorableText
from api.times import UtcTime
from db.queries import tasks
from db.queries.tasks import KindTotal, TaskView
from muniment.contracts.tasks import TaskKind

SubjectType = Literal[
    "job", "erasure", "legal_hold", "disposition", "retention_sweep", "subject_request"
]


class TaskSubject(BaseModel):
    """What waits, and where it is shown. `title`: the file's name or the matter's; null where nothing may
    tell it."""

    type: SubjectType
    id: UUID
    href: str
    title: str | None


class TaskAction(BaseModel):
    """A route by which it is decided. Nothing else decides it: tasks are the rows that wait."""

    name: str
    method: str
    href: str


class Task(BaseModel):
    """`may_decide` is the scope that its routes ask for; with an `assignee` that principal alone decides.
    `reminders`: how many were sent since it waits."""

    id: str
    kind: TaskKind
    subject: TaskSubject
    file_id: UUID | None
    since: UtcTime
    due_at: UtcTime
    overdue: bool
    reminders: int
    assignee: UUID | None
    may_decide: str
    actions: list[TaskAction]


class TaskTotal(BaseModel):
    """Of a kind that the caller may see: tasks that fit the filters but `kind`, and how many are overdue."""

    kind: TaskKind
    total: int
    overdue: int

    @classmethod
    def of(cls, total: KindTotal) -> "TaskTotal":
        return cls(kind=total.kind, total=total.total, overdue=total.overdue)


class TaskPage(BaseModel):
    """A page of tasks, what is due first first; `next_cursor` is null on the last one."""

    data: list[Task]
    next_cursor: str | None
    totals: list[TaskTotal]


class TaskCursor(BaseModel):
    """A place among tasks."""

    at: Time
    id: StorableText

    def key(self) -> tuple[datetime, str]:
        return (self.at, self.id)


class Decided(BaseModel):
    """Where tasks of a kind are shown and decided: `{id}` is the subject's, `{file}` its file's. Whoever sees
    none but its own is shown them at `own_href`."""

    type: SubjectType
    href: str
    own_href: str | None = None
    may_decide: str
    actions: tuple[tuple[str, str, str], ...]


_JOB = Decided(
    type="job",
    href="/v1/jobs/{id}",
    may_decide="quarantine:decide",
    actions=(
        ("release", "POST", "/v1/jobs/{id}/release"),
        ("reject", "POST", "/v1/jobs/{id}/reject"),
    ),
)
DECIDED: dict[TaskKind, Decided] = {
    TaskKind.QUARANTINE: _JOB,
    TaskKind.FINDING_REVIEW: _JOB,
    # Whatever keeps the file has to end: its holds, which are released, and its locks, by time.
    TaskKind.HELD_ERASURE: Decided(
        type="erasure",
        href="/v1/erasures/{id}",
        may_decide="holds:manage",
        actions=(("show_what_keeps_it", "GET", "/v1/files/{file}/retention"),),
    ),
    TaskKind.HOLD_REVIEW: Decided(
        type="legal_hold",
        href="/v1/legal-holds/{id}",
        may_decide="holds:manage",
        actions=(
            ("confirm", "POST", "/v1/legal-holds/{id}/confirm"),
            ("release", "POST", "/v1/legal-holds/{id}/release"),
        ),
    ),
    TaskKind.HOLD_ACKNOWLEDGEMENT: Decided(
        type="legal_hold",
        href="/v1/legal-holds/{id}",
        own_href="/v1/legal-holds/notices",
        may_decide="files:read",
        actions=(("acknowledge", "POST", "/v1/legal-holds/{id}/acknowledge"),),
    ),
    TaskKind.DISPOSITION: Decided(
        type="disposition",
        href="/v1/dispositions/{id}",
        may_decide="retention:manage",
        actions=(("decide", "POST", "/v1/dispositions/{id}/decisions"),),
    ),
    TaskKind.RETENTION_SWEEP: Decided(
        type="retention_sweep",
        href="/v1/retention-sweeps/{id}",
        may_decide="retention:manage",
        actions=(("decide", "POST", "/v1/retention-sweeps/{id}/decisions"),),
    ),
    TaskKind.SUBJECT_REQUEST: Decided(
        type="subject_request",
        href="/v1/subject-requests/{id}",
        may_decide="subjects:manage",
        actions=(("decide", "POST", "/v1/subject-requests/{id}/decisions"),),
    ),
}
"""A kind more is an entry more, beside that of `db.queries.task_kinds`."""


def task_view(task: tasks.Task, view: TaskView) -> Task:
    decided = DECIDED[task.kind]
    is_own = task.kind in view.assigned_kinds
    href = decided.own_href if is_own and decided.own_href else decided.href
    ids = {"id": task.subject_id, "file": task.file_id}
    return Task(
        id=task.id,
        kind=task.kind,
        subject=TaskSubject(
            type=decided.type,
            id=task.subject_id,
            href=href.format(**ids),
            title=task.title,
        ),
        file_id=task.file_id,
        since=task.since,
        due_at=task.due_at,
        overdue=task.due_at <= view.as_of,
        reminders=task.reminders,
        assignee=task.assignee,
        may_decide=decided.may_decide,
        actions=[
            TaskAction(name=name, method=method, href=route.format(**ids))
            for name, method, route in decided.actions
        ],
    )

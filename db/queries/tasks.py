"""What waits for people, in one list: statements over the rows that wait (`db.queries.task_kinds`)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.task_kinds import KINDS, UNHEARD, KindOfTask
from muniment.contracts.deliver_webhook import EventType
from muniment.contracts.tasks import TaskKind

OVERDUE = "task.overdue"
"""What the audit trail calls a reminder; from there they are counted."""
MAX_REMINDERS = 52
"""After so many nothing more is said of a task; the list goes on showing it."""


@dataclass(frozen=True)
class Task:
    """`id` is made of the kind, the subject and the assignee (`muniment.contracts.tasks.task_id`).
    `title` is null where nothing may tell what the subject is called. `reminders` counts those since it
    waits."""

    id: str
    kind: TaskKind
    subject_id: UUID
    file_id: UUID | None
    title: str | None
    assignee: UUID | None
    since: datetime
    due_at: datetime
    reminders: int


@dataclass(frozen=True)
class KindTotal:
    kind: TaskKind
    total: int
    overdue: int


@dataclass(frozen=True)
class TaskView:
    """Who looks, and when: tasks of `kinds` are seen, those of `assigned_kinds` by their assignee alone; of
    files only where the caller may read them. `days` are those of TaskSettings."""

    kinds: frozenset[TaskKind]
    assigned_kinds: frozenset[TaskKind]
    principal_id: UUID
    days: Mapping[str, int]
    as_of: datetime


@dataclass(frozen=True)
class TaskFilter:
    due_before: datetime | None = None
    is_overdue: bool = False
    assignee: UUID | None = None
    subject_id: UUID | None = None
    kind: TaskKind | None = None


def view_of(
    scopes: frozenset[str], principal_id: UUID, days: Mapping[str, int], as_of: datetime
) -> TaskView:
    """Of a caller with those scopes."""
    seen = {each.kind for each in KINDS if each.listed_for in scopes}
    assigned = {each.kind for each in KINDS if each.assigned_for in scopes}
    return TaskView(frozenset(seen), frozenset(assigned - seen), principal_id, days, as_of)


async def list_tasks(
    session: AsyncSession,
    view: TaskView,
    wanted: TaskFilter,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> list[Task]:
    """What is due first comes first, behind `after` (due_at, id)."""
    kinds = _shown(view, wanted.kind)
    if not kinds:
        return []
    values = _values(view, wanted) | {
        "limit": limit,
        "after_at": after[0] if after else None,
        "after_id": after[1] if after else None,
    }
    rows = await session.execute(_page(kinds), values)
    return [_task(row) for row in rows.mappings()]


async def totals(session: AsyncSession, view: TaskView, wanted: TaskFilter) -> list[KindTotal]:
    """Of each kind that the caller may see, whichever is asked for; the other conditions hold."""
    kinds = _shown(view, None)
    if not kinds:
        return []
    found = {
        row.kind: (row.total, row.overdue)
        for row in await session.execute(_totals(kinds), _values(view, wanted))
    }
    return [KindTotal(each.kind, *found.get(each.kind, (0, 0))) for each in kinds]


async def due_for_reminder(
    session: AsyncSession,
    days: Mapping[str, int],
    as_of: datetime,
    interval: timedelta,
    limit: int,
) -> list[Task]:
    """Overdue tasks of the whole tenant that nobody was reminded of within the interval, those first that
    are due longest."""
    kinds = [each for each in KINDS if not each.reminds_itself]
    values = {
        **days,
        **_times(as_of),
        "unsaid_since": as_of - interval,
        "most_reminders": MAX_REMINDERS,
        "limit": limit,
    }
    return [_task(row) for row in (await session.execute(_unsaid(kinds), values)).mappings()]


async def emit_overdue(session: AsyncSession, tenant_id: UUID, task: Task, reminder: int) -> None:
    """An event for webhooks, in this transaction. One of a file goes to those who may read it."""
    data = {
        "task_id": task.id,
        "kind": task.kind,
        "due_at": task.due_at.isoformat(),
        "reminders": reminder,
    }
    await session.execute(
        text("SELECT emit_webhook_event(:tenant_id, :type, :file_id, CAST(:data AS jsonb))"),
        {
            "tenant_id": tenant_id,
            "type": EventType.TASK_OVERDUE,
            "file_id": task.file_id,
            "data": json.dumps(data),
        },
    )


async def take_turn(session: AsyncSession) -> None:
    """Reminders of a tenant are sent by one transaction at a time: who comes later finds them sent."""
    await session.execute(
        text(
            "SELECT pg_advisory_xact_lock("
            "hashtextextended('task reminders ' || (SELECT current_tenant())::text, 0))"
        )
    )


def _shown(view: TaskView, kind: TaskKind | None) -> list[KindOfTask]:
    """In the order of their registration."""
    seen = view.kinds | view.assigned_kinds
    return [each for each in KINDS if each.kind in seen and kind in (None, each.kind)]


def _times(as_of: datetime) -> dict[str, datetime]:
    return {"as_of": as_of, "heard_since": as_of - UNHEARD}


def _values(view: TaskView, wanted: TaskFilter) -> dict[str, object]:
    return {
        **view.days,
        **_times(view.as_of),
        "assigned_kinds": sorted(view.assigned_kinds),
        "principal_id": view.principal_id,
        "due_before": wanted.due_before,
        "is_overdue": wanted.is_overdue,
        "assignee": wanted.assignee,
        "subject_id": wanted.subject_id,
    }


def _all(kinds: Sequence[KindOfTask]) -> str:
    of_each = " UNION ALL ".join(
        f"SELECT '{each.kind}' AS kind, waiting.* FROM ({each.waiting}) waiting"  # noqa: S608 - constants
        for each in kinds
    )
    return f"""
        SELECT each.*, each.kind || '.' || each.subject_id || coalesce('.' || each.assignee, '') AS id
        FROM ({of_each}) each
    """  # noqa: S608 - constants


_WANTED = """
    (CAST(:due_before AS timestamptz) IS NULL OR due_at < :due_before)
    AND (NOT CAST(:is_overdue AS boolean) OR due_at <= :as_of)
    AND (CAST(:assignee AS uuid) IS NULL OR assignee = :assignee)
    AND (CAST(:subject_id AS uuid) IS NULL OR subject_id = :subject_id)
    AND (NOT kind = ANY(CAST(:assigned_kinds AS text[])) OR assignee = :principal_id)
    AND (file_id IS NULL OR EXISTS (
        SELECT FROM visible_files('read') AS visible (id) WHERE visible.id = task.file_id
    ))
"""
_REMINDED = """
    LEFT JOIN LATERAL (
        SELECT count(*) AS reminders, max(audit_event.at) AS last_at FROM audit_event
        WHERE audit_event.tenant_id = (SELECT current_tenant())
          AND audit_event.object_id = shown.subject_id
          AND audit_event.action = 'task.overdue' AND audit_event.at >= shown.since
          AND shown.reminders IS NULL
    ) said ON true
"""
_COLUMNS = """
    shown.id, shown.kind, shown.subject_id, shown.file_id, shown.title, shown.assignee, shown.since,
    shown.due_at, coalesce(shown.reminders, said.reminders) AS reminders
"""


def _page(kinds: Sequence[KindOfTask]) -> TextClause:
    return text(
        f"""
        WITH shown AS MATERIALIZED (
            SELECT * FROM ({_all(kinds)}) task
            WHERE {_WANTED}
              AND (CAST(:after_at AS timestamptz) IS NULL
                   OR (due_at, id COLLATE "C") > (:after_at, CAST(:after_id AS text)))
            ORDER BY due_at, id COLLATE "C" LIMIT :limit
        )
        SELECT {_COLUMNS} FROM shown {_REMINDED} ORDER BY shown.due_at, shown.id COLLATE "C"
        """  # noqa: S608 - constants
    )


def _totals(kinds: Sequence[KindOfTask]) -> TextClause:
    return text(
        f"""
        SELECT kind, count(*) AS total,
            count(*) FILTER (WHERE due_at <= CAST(:as_of AS timestamptz)) AS overdue
        FROM ({_all(kinds)}) task WHERE {_WANTED} GROUP BY kind
        """  # noqa: S608 - constants
    )


def _unsaid(kinds: Sequence[KindOfTask]) -> TextClause:
    return text(
        f"""
        WITH shown AS MATERIALIZED (
            SELECT * FROM ({_all(kinds)}) task WHERE due_at <= CAST(:as_of AS timestamptz)
        )
        SELECT {_COLUMNS} FROM shown {_REMINDED}
        WHERE said.reminders < :most_reminders
          AND (said.last_at IS NULL OR said.last_at <= CAST(:unsaid_since AS timestamptz))
        ORDER BY shown.due_at, shown.id COLLATE "C" LIMIT :limit
        """  # noqa: S608 - constants
    )


def _task(row: RowMapping) -> Task:
    return Task(**{**row, "kind": TaskKind(row["kind"])})

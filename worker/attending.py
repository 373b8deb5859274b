"""Activities that keep matters and retention, and see to it that people hear of what waits for them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from activities.legal_holds.activity import LegalHolds
from activities.tasks.activity import ReminderPolicy, TaskReminders
from db.session import Database
from muniment.settings import Settings, TaskSettings
from worker.disposing import retention_activities

ActivityFunction = Callable[..., Any]  # what Worker itself takes


def attending_activities(settings: Settings, database: Database) -> Sequence[ActivityFunction]:
    return [
        LegalHolds(database).attend_hold,
        TaskReminders(database, reminder_policy(settings.tasks)).remind_tasks,
        *retention_activities(database, settings.retention),
    ]


def reminder_policy(settings: TaskSettings) -> ReminderPolicy:
    return ReminderPolicy(settings.due_days, timedelta(days=settings.reminder_days))

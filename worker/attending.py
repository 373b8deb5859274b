"""Activities that see to it that people hear of what waits for them."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from activities.legal_holds.activity import LegalHolds
from activities.tasks.activity import ReminderPolicy, TaskReminders
from db.session import Database
from muniment.settings import TaskSettings

ActivityFunction = Callable[..., Any]  # what Worker itself takes


def attending_activities(settings: TaskSettings, database: Database) -> Sequence[ActivityFunction]:
    return [
        LegalHolds(database).attend_hold,
        TaskReminders(database, reminder_policy(settings)).remind_tasks,
    ]


def reminder_policy(settings: TaskSettings) -> ReminderPolicy:
    return ReminderPolicy(settings.due_days, timedelta(days=settings.reminder_days))

"""Sweeps of retention as a worker carries them out."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from activities.retention.activity import Retention, SweepPolicy
from db.session import Database
from muniment.settings import RetentionSettings


def retention_activities(
    database: Database, settings: RetentionSettings
) -> Sequence[Callable[..., Any]]:
    policy = SweepPolicy(
        settings.sweep_share, settings.sweep_files, timedelta(days=settings.decision_days)
    )
    retention = Retention(database, policy)
    return (
        retention.begin_retention_sweep,
        retention.step_retention_sweep,
        retention.cancel_retention_sweep,
    )

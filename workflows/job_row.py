"""The row of a job in the database, written from its workflow."""

import asyncio

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

from muniment.contracts.base import VersionReference
from muniment.contracts.jobs import JobProgress
from muniment.contracts.lifecycle import LifecycleActivities, RecordProgressInput
from muniment.contracts.search_attributes import OUTCOME, STAGE
from workflows import policies
from workflows.steering import Steering
from workflows.tracking import Tracker


class JobRow:
    """Follows the tracker when told to; stages write their own part of the row themselves."""

    def __init__(self, version: VersionReference, steering: Steering, tracker: Tracker) -> None:
        self._version = version
        self._steering = steering
        self._tracker = tracker
        self._lock = asyncio.Lock()

    async def record(self) -> None:
        """Writes the row. One at a time: the row follows the order of what happened."""
        async with self._lock:
            progress = self._tracker.brief(self._steering.level)
            self._tracker.show()
            if progress.state.is_terminal:
                _publish_outcome(progress)
            await workflow.execute_activity_method(
                LifecycleActivities.record_progress,
                RecordProgressInput(version=self._version, progress=progress),
                **self._steering.configured(policies.RECORD, progress.state.value),
            )


def _publish_outcome(progress: JobProgress) -> None:
    """The end, and where it came, for whoever searches in Temporal's UI."""
    updates: list[SearchAttributeUpdate[str]] = [OUTCOME.value_set(progress.state.value)]
    if progress.stage is not None:
        updates.append(STAGE.value_set(progress.stage.value))
    workflow.upsert_search_attributes(updates)

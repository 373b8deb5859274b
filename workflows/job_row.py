"""The row of a job in the database, written from its workflow."""

import asyncio

from temporalio import workflow

from muniment.contracts.base import VersionReference
from muniment.contracts.lifecycle import LifecycleActivities, RecordProgressInput
from workflows import policies
from workflows.steering import Steering
from workflows.tracking import Tracker
from workflows.visibility import Visibility


class JobRow:
    """Follows the tracker when told to; stages write their own part of the row themselves."""

    def __init__(
        self,
        version: VersionReference,
        steering: Steering,
        tracker: Tracker,
        visibility: Visibility,
    ) -> None:
        self._version = version
        self._steering = steering
        self._tracker = tracker
        self._visibility = visibility
        self._lock = asyncio.Lock()
        self._state = tracker.state

    @property
    def is_behind(self) -> bool:
        """Whether the row says another state than the tracker, or is just being written."""
        return self._lock.locked() or self._state is not self._tracker.state

    async def record(self) -> None:
        """Writes the row. One at a time: the row follows the order of what happened."""
        async with self._lock:
            await self._write()

    async def catch_up(self) -> None:
        """Returns once what is being written is, and the row says the tracker's state."""
        async with self._lock:
            if self._state is not self._tracker.state:
                await self._write()

    async def _write(self) -> None:
        progress = self._tracker.brief(self._steering.level)
        self._tracker.show()
        self._visibility.recorded(progress)
        self._state = progress.state
        await workflow.execute_activity_method(
            LifecycleActivities.record_progress,
            RecordProgressInput(version=self._version, progress=progress),
            **self._steering.configured(policies.RECORD, progress.state.value),
        )

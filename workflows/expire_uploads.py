"""A tenant's unfinished uploads end when their time has run out."""

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

from muniment.contracts.expire_uploads import (
    WAKE,
    WORKFLOW,
    ExpireUploadsInput,
    ExpireUploadsResult,
    UploadExpiryActivities,
)
from workflows.policies import EXPIRE, EXPIRY_LOOKS, LEAST_EXPIRY_PAUSE


@workflow.defn(name=WORKFLOW)
class ExpireUploads:
    """One timer for all of a tenant's uploads, however many there are: pieces that come move what
    expires further away, which the next look sees. Ended at any point it is started again."""

    def __init__(self) -> None:
        self._is_woken = False

    @workflow.signal(name=WAKE)
    def wake(self) -> None:
        """Looks again at once; also whoever was about to end, since there is a new upload perhaps."""
        self._is_woken = True

    @workflow.run
    async def run(self, request: ExpireUploadsInput) -> None:
        for _ in range(EXPIRY_LOOKS):
            self._is_woken = False
            looked = await workflow.execute_activity_method(
                UploadExpiryActivities.expire_uploads, request, **EXPIRE
            )
            if looked.next_in_seconds is None and not self._is_woken:
                return
            await self._sleep(looked)
        # A wake that came last is heard: the next run begins with a look.
        workflow.continue_as_new(request)

    async def _sleep(self, looked: ExpireUploadsResult) -> None:
        pause = timedelta(seconds=looked.next_in_seconds or 0)
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._is_woken, timeout=max(pause, LEAST_EXPIRY_PAUSE)
            )

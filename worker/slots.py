"""Slots of a queue whose calls are short but for a few: those that run long stand aside."""

import asyncio
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

from temporalio.worker import (
    CustomSlotSupplier,
    FixedSizeSlotSupplier,
    SlotMarkUsedContext,
    SlotPermit,
    SlotReleaseContext,
    SlotReserveContext,
    WorkerTuner,
)

LONG_SECONDS = 15.0
"""Nearly every file is parsed sooner; bombs run until their limits of minutes."""
_OTHER_KINDS = FixedSizeSlotSupplier(100)
"""As many as the SDK takes by itself; a queue of parsing has no workflows and no local activities."""


@dataclass(eq=False)
class _Permit(SlotPermit):
    """`since`: when the task began, by the monotonic clock; None while the slot waits for one."""

    since: float | None = None


@dataclass(eq=False)
class _Waiter:
    """Somebody who waits for a slot on that loop."""

    loop: asyncio.AbstractEventLoop
    freed: asyncio.Event = field(default_factory=asyncio.Event)


class StandingAside(CustomSlotSupplier):
    """So many slots; a task that has run for `long_seconds` no longer counts as holding one, while no
    more than so many do that.

    Else as many hostile files as there are slots would hold up everybody's files until their limits
    end them. At most twice `slots` tasks are at work at once.
    """

    def __init__(self, slots: int, long_seconds: float = LONG_SECONDS) -> None:
        self._slots = slots
        self._long_seconds = long_seconds
        # The SDK reserves on the event loop, and marks and releases on threads of its own.
        self._lock = threading.RLock()
        self._held: set[_Permit] = set()
        self._waiters: set[_Waiter] = set()

    async def reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit:
        waiter = _Waiter(asyncio.get_running_loop())
        with self._lock:
            self._waiters.add(waiter)
        try:
            while True:
                waiter.freed.clear()
                permit, seconds = self._take()
                if permit is not None:
                    return permit
                with suppress(TimeoutError):  # then somebody has run long
                    # Not wait_for, whose answer may swallow the cancellation that comes once only.
                    async with asyncio.timeout(seconds):
                        await waiter.freed.wait()
        finally:
            with self._lock:
                self._waiters.discard(waiter)

    def try_reserve_slot(self, ctx: SlotReserveContext) -> SlotPermit | None:
        return self._take()[0]

    def mark_slot_used(self, ctx: SlotMarkUsedContext) -> None:
        with self._lock:
            if isinstance(ctx.permit, _Permit):
                ctx.permit.since = time.monotonic()
            self._wake()

    def release_slot(self, ctx: SlotReleaseContext) -> None:
        with self._lock:
            if isinstance(ctx.permit, _Permit):
                self._held.discard(ctx.permit)
            self._wake()

    def _take(self) -> tuple[_Permit | None, float | None]:
        """A permit, or in how many seconds to ask again though nothing was released (None: then only)."""
        with self._lock:
            limit = time.monotonic() - self._long_seconds
            started = [each.since for each in self._held if each.since is not None]
            aside = min(sum(since <= limit for since in started), self._slots)
            if len(self._held) - aside < self._slots:
                permit = _Permit()
                self._held.add(permit)
                return permit, None
            soonest = min((since - limit for since in started if since > limit), default=None)
            return None, soonest if aside < self._slots else None

    def _wake(self) -> None:
        for waiter in self._waiters:
            with suppress(RuntimeError):  # its loop is closed
                waiter.loop.call_soon_threadsafe(waiter.freed.set)


def standing_aside(slots: int) -> WorkerTuner:
    """A worker's tuner whose activities' slots are those."""
    return WorkerTuner.create_composite(
        workflow_supplier=_OTHER_KINDS,
        activity_supplier=StandingAside(slots),
        local_activity_supplier=_OTHER_KINDS,
        nexus_supplier=_OTHER_KINDS,
    )

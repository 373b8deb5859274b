"""Work that is done in rounds beside the polling, for as long as a worker lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from muniment.errors import MunimentError

logger = logging.getLogger(__name__)


async def go_round(
    work: Callable[[], Awaitable[object]],
    interval_seconds: float,
    failed: str,
    *,
    first_after_seconds: float,
    woken: asyncio.Event | None = None,
) -> None:
    """Rounds until cancelled; one that fails is logged as `failed`, and the next begins anew. Where
    `woken` is given, it begins the round after one that went well before the interval is over."""
    await asyncio.sleep(first_after_seconds)
    while True:
        went_well = False
        try:
            if woken is not None:
                woken.clear()
            await work()
            went_well = True
        except MunimentError as error:
            logger.warning(failed, extra={"reason": error.problem})
        except Exception:
            # Nobody foresaw it, and what else the worker does must not end with it.
            logger.exception(failed)
        if woken is None or not went_well:
            await asyncio.sleep(interval_seconds)
            continue
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_seconds):
                await woken.wait()

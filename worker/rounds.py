"""Work that is done in rounds beside the polling, for as long as a worker lives."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from muniment.errors import MunimentError

logger = logging.getLogger(__name__)


async def go_round(
    work: Callable[[], Awaitable[object]],
    interval_seconds: float,
    failed: str,
    *,
    first_after_seconds: float,
) -> None:
    """Rounds until cancelled; one that fails is logged as `failed`, and the next begins anew."""
    await asyncio.sleep(first_after_seconds)
    while True:
        try:
            await work()
        except MunimentError as error:
            logger.warning(failed, extra={"reason": error.problem})
        except Exception:
            # Nobody foresaw it, and what else the worker does must not end with it.
            logger.exception(failed)
        await asyncio.sleep(interval_seconds)

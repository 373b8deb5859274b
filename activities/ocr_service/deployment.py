"""The Ray Serve deployment: replicas that turn pixels into pages, several at a time.

A replica is given pixels and gives back lines. It has no key, no database and no object store, and
runs no parser: what it is sent was drawn in the worker's sandbox (docs/decisions/0014-ocr-on-ray.md).
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event

from ray import serve

from activities.ocr_service.rapid_ocr import open_rapid_ocr
from activities.read.calls import ReadProgress
from activities.read.ocr_engine import StoppableOcrEngine
from activities.read.page_image import PageImage
from activities.read.rasterise import in_colour
from activities.read.recogniser import Unwanted
from muniment.contracts.read import FailedPage
from muniment.errors import EngineError

logger = logging.getLogger(__name__)

NAME = "PageReader"
REMEMBERED_BATCHES = 256


@dataclass(frozen=True, slots=True, eq=False)
class _Ticket:
    """A page on its way through the replica; `unwanted` once nobody waits for it any more."""

    number: int
    image: PageImage
    unwanted: Event = field(default_factory=Event)


class PageReader:
    """One replica. Its engine works in a thread of its own, so that cancellations are heard."""

    def __init__(self, batch_size: int, batch_wait_seconds: float, *, on_cuda: bool) -> None:
        self._engine: StoppableOcrEngine = open_rapid_ocr(on_cuda=on_cuda)
        self._engine.stop_when(self._is_unwanted)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ocr")
        self._at_work: _Ticket | None = None
        self._batch_sizes: deque[int] = deque(maxlen=REMEMBERED_BATCHES)
        batching = serve.batch(max_batch_size=batch_size, batch_wait_timeout_s=batch_wait_seconds)
        self._read_batch: Callable[[_Ticket], Awaitable[str]] = batching(self._read_together)

    async def read(self, number: int, image: PageImage) -> str:
        """A ReadProgress as JSON: the page, or why it could not be read."""
        ticket = _Ticket(number, image)
        try:
            return await self._read_batch(ticket)
        except asyncio.CancelledError:
            ticket.unwanted.set()
            raise

    async def batch_sizes(self) -> list[int]:
        """Of the latest batches, the oldest first: how well the waiting time fills them."""
        return list(self._batch_sizes)

    async def _read_together(self, tickets: list[_Ticket]) -> list[str]:
        self._batch_sizes.append(len(tickets))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read_all, tickets)

    def _read_all(self, tickets: list[_Ticket]) -> list[str]:
        return [self._read_one(ticket).model_dump_json() for ticket in tickets]

    def _read_one(self, ticket: _Ticket) -> ReadProgress:
        self._at_work = ticket
        try:
            if not self._is_unwanted():
                return ReadProgress(page=self._engine.read(ticket.number, in_colour(ticket.image)))
        except Unwanted:
            pass  # the answer below goes nowhere
        except Exception as error:  # noqa: BLE001 - one page's failure is not its batch's
            # Its message could quote the page.
            logger.error("a page could not be read", extra={"reason": type(error).__name__})
        failed = FailedPage(page=ticket.number, problem=EngineError.title)
        return ReadProgress(failed=failed)

    def _is_unwanted(self) -> bool:
        return self._at_work is not None and self._at_work.unwanted.is_set()

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
from activities.read.ocr_engine import StoppableOcrEngine
from activities.read.page_image import PageImage
from activities.read.rasterise import in_colour
from activities.read.recogniser import Unwanted
from muniment.errors import EngineError

logger = logging.getLogger(__name__)

NAME = "PageReader"
REMEMBERED_BATCHES = 256
ENGINE_FAILURES = 5
"""So many pages in a row that the engine failed of, and it is taken for broken: more than the three
attempts that a batch has here, so that a single page does not bring a replica down."""
HEALTH_SECONDS = 5.0
"""How often Serve asks; after three bad answers it starts the replica anew."""


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
        self._failures = 0
        self._batch_sizes: deque[int] = deque(maxlen=REMEMBERED_BATCHES)
        batching = serve.batch(max_batch_size=batch_size, batch_wait_timeout_s=batch_wait_seconds)
        self._read_batch: Callable[[_Ticket], Awaitable[str | None]] = batching(self._read_together)

    async def read(self, number: int, image: PageImage) -> str | None:
        """The Page as JSON; None when the engine failed, which may be this replica's trouble and not
        the page's: another queue is to read it."""
        ticket = _Ticket(number, image)
        try:
            return await self._read_batch(ticket)
        except asyncio.CancelledError:
            ticket.unwanted.set()
            raise

    async def check_health(self) -> None:
        """What Serve asks: raises while the engine fails of every page."""
        if self._failures >= ENGINE_FAILURES:
            raise EngineError(f"The engine failed of {self._failures} pages in a row.")

    async def batch_sizes(self) -> list[int]:
        """Of the latest batches, the oldest first: how well the waiting time fills them."""
        return list(self._batch_sizes)

    async def _read_together(self, tickets: list[_Ticket]) -> list[str | None]:
        self._batch_sizes.append(len(tickets))
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._read_all, tickets)

    def _read_all(self, tickets: list[_Ticket]) -> list[str | None]:
        return [self._read_one(ticket) for ticket in tickets]

    def _read_one(self, ticket: _Ticket) -> str | None:
        self._at_work = ticket
        try:
            if self._is_unwanted():
                return None  # goes nowhere
            page = self._engine.read(ticket.number, in_colour(ticket.image))
        except Unwanted:
            return None
        except Exception as error:  # noqa: BLE001 - one page's failure is not its batch's
            self._failures += 1
            # Its message could quote the page.
            logger.error("a page could not be read", extra={"reason": type(error).__name__})
            return None
        self._failures = 0
        return page.model_dump_json()

    def _is_unwanted(self) -> bool:
        return self._at_work is not None and self._at_work.unwanted.is_set()

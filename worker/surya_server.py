"""The Surya server behind the GPU queue: found by its address, never started here."""

import asyncio
import importlib.util
import logging
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from activities.read.page_image import PageImage
from muniment.contracts.documents import Page
from muniment.errors import ConfigurationError, OcrServiceUnavailable
from muniment.settings import SuryaSettings

if TYPE_CHECKING:
    from activities.ocr_service.surya import SuryaOcr

logger = logging.getLogger(__name__)

WATCH_SECONDS = 3.0
SILENCES = 5
"""So many looks in a row without an answer, and the server is taken for lost; one that is busy with
pages answers all the same."""


class SuryaServer:
    """The OCR service of a worker, for the time in between entering and leaving.

    Entering returns once the server serves the model. ConfigurationError, at once, where no address is
    set or surya-ocr is not installed.
    """

    def __init__(self, settings: SuryaSettings) -> None:
        if settings.url is None:
            raise ConfigurationError(
                "the OCR engine surya needs the address of a server",
                remedy="Set MUNIMENT_SURYA__URL, or choose another engine (MUNIMENT_OCR__ENGINE).",
            )
        if importlib.util.find_spec("surya") is None:
            raise ConfigurationError(
                "the OCR engine surya needs surya-ocr, which is not installed",
                remedy="Install Muniment with its extra `surya`, on Python 3.11 or 3.12.",
            )
        self._url = settings.url
        self._settings = settings
        self._resources = AsyncExitStack()
        self._service: SuryaOcr | None = None

    @property
    def slots(self) -> int:
        """Pages in flight."""
        return self._settings.concurrency

    async def __aenter__(self) -> Self:
        # Loads torch, since surya-ocr does: only here, and not on the event loop.
        service = await asyncio.to_thread(self._open)
        async with AsyncExitStack() as resources:
            await resources.enter_async_context(service)
            await service.check()
            self._resources = resources.pop_all()
        self._service = service
        logger.info("the OCR service is ready", extra={"slots": self.slots})
        return self

    async def __aexit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._service = None
        await self._resources.aclose()

    async def read(self, number: int, image: PageImage) -> Page:
        """As OcrService.read."""
        return await self._serving().read(number, image)

    async def watch(self) -> None:
        """Raises OcrServiceUnavailable once the server is lost: the worker then ends, since a queue
        that nobody polls is passed over, and whatever supervises it starts it anew."""
        silences = 0
        while silences < SILENCES:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self._serving().check()
                silences = 0
            except OcrServiceUnavailable:
                silences += 1
        raise OcrServiceUnavailable("Surya's server is lost.")

    def _serving(self) -> "SuryaOcr":
        if self._service is None:
            raise OcrServiceUnavailable("Surya's server is not connected.")
        return self._service

    def _open(self) -> "SuryaOcr":
        from activities.ocr_service.surya import SuryaOcr, SuryaOptions

        key = self._settings.api_key
        return SuryaOcr(
            SuryaOptions(
                url=self._url,
                model=self._settings.model,
                api_key=key.get_secret_value() if key is not None else None,
                concurrency=self._settings.concurrency,
                page_timeout_seconds=self._settings.page_timeout_seconds,
            )
        )

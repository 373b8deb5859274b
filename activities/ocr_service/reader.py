"""Reads pages through an OCR service: each is drawn in the sandbox and awaited from the service."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from activities.read.calls import ReadProgress
from activities.read.collector import OnPage, PageCollector
from activities.read.page_image import PageImage
from activities.read.rasterise import Raster, RasterRequest, as_image
from activities.sandbox import EngineCall, Limits, Sandbox
from activities.sandbox.limits import MEBIBYTE
from muniment.contracts.documents import DocumentPlan, Page, PageBatch
from muniment.contracts.read import FailedPage
from muniment.errors import DocumentError, EngineError

RASTER_LIMITS = Limits(wall_seconds=240, cpu_seconds=60, memory_bytes=2048 * MEBIBYTE)
"""A page of ordinary size takes a tenth of a second; a hostile one is ended."""


class OcrService(Protocol):
    """What reads pixels elsewhere."""

    async def read(self, number: int, image: PageImage) -> Page:
        """The page; OcrServiceUnavailable when the service is lost or its engine fails."""


class RemoteOcr:
    """The OCR of a worker whose engine is a service. `slots` pages at most are drawn or in flight,
    over all activities of the worker: as many as the replicas take, so that the backlog stays in
    Temporal, where priorities and fairness hold."""

    def __init__(self, sandbox: Sandbox, service: OcrService, slots: int) -> None:
        self._sandbox = sandbox
        self._service = service
        self._slots = asyncio.Semaphore(slots)

    async def read_ocr(
        self,
        content: Path | bytes,
        plan: DocumentPlan,
        pages: Sequence[int],
        password: str | None = None,
        on_page: OnPage | None = None,
    ) -> tuple[PageBatch, tuple[FailedPage, ...]]:
        """All pages at once, as far as there are slots. When the service fails, what is read by
        then has been handed to `on_page`; the failure is raised after the last page in flight."""
        reading = PageCollector(on_page)

        async def read(number: int) -> None:
            request = RasterRequest(family=plan.family, page=number, password=password)
            async with self._slots:
                progress = await self._read(content, request)
            await reading.take(progress.model_dump_json().encode())

        tasks = [asyncio.create_task(read(number)) for number in pages]
        try:
            await asyncio.wait(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        for task in tasks:
            task.result()
        return reading.result()

    async def _read(self, content: Path | bytes, request: RasterRequest) -> ReadProgress:
        try:
            image = await self._draw(content, request)
        except (DocumentError, EngineError) as error:
            return ReadProgress(failed=FailedPage(page=request.page, problem=error.detail))
        return ReadProgress(page=await self._service.read(request.page, image))

    async def _draw(self, content: Path | bytes, request: RasterRequest) -> PageImage:
        """Drawn once more when the engine dies: it may have been another page's victim."""
        call = EngineCall("rasterise_page", request, Raster)
        try:
            raster = await self._sandbox.run(call, content=content, limits=RASTER_LIMITS)
        except EngineError:
            raster = await self._sandbox.run(call, content=content, limits=RASTER_LIMITS)
        return as_image(raster)

"""One engine that reads pages of one document, whatever it dies of."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from activities.read.calls import ASSEMBLE_AT_ONCE_SECONDS, ReadOutcome, ReadRequest
from activities.read.collector import PageCollector
from activities.read.ocr_engine import OcrChoice
from activities.sandbox import EngineCall, Limits, Sandbox
from muniment.contracts.documents import READ_BY_PAGE, DocumentPlan
from muniment.errors import DocumentError, EngineError

SILENT = "The engine said nothing about this page."
MAXIMUM_SET_APART = 3
"""An engine that dies of more pages of one batch is not the pages' victim: the call fails."""


@dataclass(frozen=True)
class BatchReader:
    """Every attempt is a process of its own, and brings its pages to `collected`."""

    sandbox: Sandbox
    engine: str
    """The name it is registered under: `read_text` or `read_ocr`."""
    content: Path | bytes
    """Of the kind that the plan says it is read as."""
    plan: DocumentPlan
    password: str | None
    ocr: OcrChoice
    limits: Limits
    collected: PageCollector

    async def read(self, pages: Sequence[int]) -> None:
        """Reads all pages in one process. When it dies, the page it died of is set apart, the rest
        is read on, and pages set apart are read at last, each in a process of its own. Raises
        EngineError when it dies of more pages than `MAXIMUM_SET_APART`, DocumentError when the
        document is at fault."""
        if self.plan.family not in READ_BY_PAGE:
            await self._attempt(pages)
            return
        for number in await self._read_what_goes_together(pages):
            try:
                await self._attempt([number])
            except EngineError as error:
                self.collected.fail(number, error.detail)
        for number in self.collected.missing(pages):
            self.collected.fail(number, SILENT)

    async def _read_what_goes_together(self, pages: Sequence[int]) -> list[int]:
        """The pages that were set apart."""
        set_apart: list[int] = []
        while missing := self.collected.missing(pages, without=set_apart):
            try:
                await self._attempt(missing)
                # An engine that ended well and was silent about pages: trying again for ever would
                # not make it speak. They are read alone, and fail if they stay unread.
                set_apart += self.collected.missing(missing)
            except EngineError:
                set_apart.append(self.collected.missing(missing)[0])
                if len(set_apart) > MAXIMUM_SET_APART:
                    raise
        return set_apart

    async def _attempt(self, pages: Sequence[int]) -> None:
        """One process for these pages; what it reported before it failed is kept."""
        wish = self.collected.wish(self.plan, pages)
        deadline = asyncio.timeout(None)

        async def take(frame: bytes) -> None:
            await self.collected.take(frame)
            if wish is not None and deadline.when() is None and self._is_read(pages):
                # No alarm of the engine's own would be heard within a library.
                now = asyncio.get_running_loop().time()
                deadline.reschedule(now + ASSEMBLE_AT_ONCE_SECONDS)

        request = ReadRequest(
            media_type=self.plan.read_as or self.plan.media_type,
            family=self.plan.family,
            pages=tuple(pages),
            password=self.password,
            ocr=self.ocr,
            assemble=wish,
        )
        call = EngineCall(self.engine, request, ReadOutcome)
        try:
            async with deadline:
                outcome = await self.sandbox.run(
                    call, content=self.content, limits=self.limits, on_progress=take
                )
        except TimeoutError:
            if not deadline.expired():
                raise
        except (DocumentError, EngineError):
            # What goes wrong after the last page, a limit of the answer included, takes none of
            # them along.
            if not self._is_read(pages):
                raise
        else:
            self.collected.conclude(outcome, wish)

    def _is_read(self, pages: Sequence[int]) -> bool:
        """Whether all was reported: of a structured format its own document comes last."""
        if self.plan.family in READ_BY_PAGE:
            return not self.collected.missing(pages)
        return self.collected.document is not None

"""Digests of documents' pages, computed once for all the batches of a document."""

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from activities.engines import DocumentEngines
from activities.read.calls import PageDigests
from activities.scratch import Scratch
from muniment.errors import DocumentError, EngineError, IntegrityError

logger = logging.getLogger(__name__)
DOCUMENTS_REMEMBERED = 16
"""So many documents' are kept in memory: batches of one are read at the same time."""
NO_DIGESTS = PageDigests(digests=(), labels=())


@dataclass(slots=True)
class _Document:
    """`found` is None until who holds the lock has computed it."""

    computing: asyncio.Lock = field(default_factory=asyncio.Lock)
    found: PageDigests | None = None


class KnownDigests:
    """Remembers what was computed last, and what could not be."""

    def __init__(self, engines: DocumentEngines, scratch: Scratch) -> None:
        self._engines = engines
        self._scratch = scratch
        self._documents: OrderedDict[tuple[UUID, bool], _Document] = OrderedDict()

    async def of(
        self, tenant_id: UUID, blob_id: UUID, size: int, password: str | None = None
    ) -> PageDigests:
        """None of them where they cannot be had: reading says itself what is wrong with a document,
        and its other batches would wait for the same failure."""
        # What cannot be opened without a password may be with one.
        key = blob_id, password is not None
        document = self._documents.setdefault(key, _Document())
        self._documents.move_to_end(key)
        while len(self._documents) > DOCUMENTS_REMEMBERED:
            self._documents.popitem(last=False)
        async with document.computing:
            if document.found is None:
                document.found = await self._compute(tenant_id, blob_id, size, password)
            return document.found

    async def _compute(
        self, tenant_id: UUID, blob_id: UUID, size: int, password: str | None
    ) -> PageDigests:
        try:
            async with self._scratch.opened(tenant_id, blob_id, size) as content:
                return await self._engines.digest_pages(content, password)
        except (DocumentError, EngineError, IntegrityError) as error:
            logger.info("the pages have no digests", extra={"reason": error.problem})
            return NO_DIGESTS

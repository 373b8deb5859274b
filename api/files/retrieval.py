"""Whether content in the cold tier can be read now, as the cold store says; nothing is asked for."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from uuid import UUID

from api.problem_responses import Responses, documented
from api.slots import Slots
from db.queries.files import FileDetail
from muniment.contracts.jobs import FileState
from muniment.contracts.move_tier import Tier
from muniment.errors import ObjectMissing, ObjectStoreUnavailable, TooManyRequests
from muniment.objects import BlobStore, Retrieval
from muniment.task_group import of_each

logger = logging.getLogger(__name__)

RETRIEVAL_HEADER = "Muniment-Retrieval"
SAYS_HOW_FAR: Responses = {
    409: {
        **documented(409)[409],
        "headers": {
            RETRIEVAL_HEADER: {
                "description": "Of content that lies in an archive: `archived` or `in_progress`.",
                "schema": {"type": "string"},
            }
        },
    }
}
"""The 409 of HEAD, for the OpenAPI description."""

MOST_AT_ONCE = 4
"""Questions to the cold store, and requests that have some, of files; as many of tiers. That is half of a
process's connections, so that downloads have the others where it is slow to say."""
ASKED_SECONDS_FOR_A_FILE = 3.0
"""So long a file waits to be shown for the cold store, before its retrieval is shown as not known."""


class RetrievalQuestions:
    """Of one kind of request in a process. Requests beyond so many are told at once that it is not known;
    the questions of those that have a place take turns."""

    def __init__(self, requests: int = MOST_AT_ONCE, at_once: int = MOST_AT_ONCE) -> None:
        self._places = Slots(requests, "questions about retrievals")
        self._at_once = at_once
        self._turns = asyncio.Semaphore(at_once)
        self._asking: set[asyncio.Task[list[Retrieval | None]]] = set()

    async def ask(
        self, blobs: BlobStore, tenant_id: UUID, blob_ids: Sequence[UUID], within_seconds: float
    ) -> list[Retrieval | None] | None:
        """Of each blob, as its store says now; None of one that is missing there, of which verification
        tells. None at all where the store does not say so in time, or is asked too much already."""
        try:
            self._places.acquire()
        except TooManyRequests:
            logger.debug("the state of retrievals is asked for too often")
            return None
        asking = asyncio.create_task(self._answers(blobs, tenant_id, blob_ids))
        self._asking.add(asking)
        asking.add_done_callback(self._end)
        try:
            await asyncio.wait({asking}, timeout=within_seconds)
            if asking.done():
                return asking.result()
            reason = TimeoutError.__name__
        except (ObjectStoreUnavailable, TimeoutError) as error:
            reason = type(error).__name__
        finally:
            # A request to S3 ends by its own time-out, and keeps its place until then; nobody waits.
            asking.cancel()
        logger.warning("the state of retrievals is not known", extra={"reason": reason})
        return None

    async def _answers(
        self, blobs: BlobStore, tenant_id: UUID, blob_ids: Sequence[UUID]
    ) -> list[Retrieval | None]:
        async def state(blob_id: UUID) -> Retrieval | None:
            async with self._turns:
                with suppress(ObjectMissing):
                    return await blobs.retrieval(tenant_id, blob_id)
            return None

        return await of_each(blob_ids, state, self._at_once)

    def _end(self, asking: asyncio.Task[list[Retrieval | None]]) -> None:
        self._asking.discard(asking)
        self._places.release()
        if not asking.cancelled():
            asking.exception()  # else it is logged as one that nobody took


async def retrieval_of_file(
    blobs: BlobStore, questions: RetrievalQuestions, detail: FileDetail
) -> Retrieval | None:
    """Of the version that readers see. None where that lies in the hot tier, or was erased, and where
    the cold store does not say so, or is asked so much already that downloads would wait for it."""
    is_kept = detail.file.state not in (FileState.ERASING, FileState.ERASED)
    if detail.version is None or detail.tier is not Tier.COLD or not is_kept:
        return None
    asked = [detail.version.blob_id]
    found = await questions.ask(blobs, detail.file.tenant_id, asked, ASKED_SECONDS_FOR_A_FILE)
    return found[0] if found else None

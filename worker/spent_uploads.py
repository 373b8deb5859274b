"""Clears away what uploads leave: those that nobody goes on with expire, and the parts of those that
have ended, however they did, are destroyed."""

import logging

from db.audit import Act, record
from db.queries import resumable_uploads
from db.queries.resumable_uploads import SpentUpload, StoredPart
from db.session import Access, Database
from muniment.errors import MunimentError
from muniment.objects import BlobStore
from muniment.task_group import task_group
from worker.rounds import go_round

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
AT_ONCE = 16
"""Parts that are destroyed side by side: each costs a few writes to a disk."""


class SpentUploads:
    """Destroying twice is harmless, so any number of workers may run one."""

    def __init__(
        self, database: Database, blobs: BlobStore, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            "ended uploads stay",
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> int:
        """Clears away what there is, a hundred at a time; says of how many uploads. One that cannot
        be cleared away holds up no other."""
        cleared, after = 0, None
        while True:
            async with self._database.across_tenants() as session:
                spent = await resumable_uploads.spent_uploads(session, after)
            if not spent:
                return cleared
            for upload in spent:
                cleared += await self._is_cleared(upload)
            after = spent[-1].upload_id

    async def _is_cleared(self, upload: SpentUpload) -> bool:
        try:
            await self._clear(upload)
        except MunimentError as error:
            ids = {"upload_id": str(upload.upload_id), "reason": error.problem}
            logger.warning("an ended upload stays", extra=ids)
            return False
        return True

    async def _clear(self, upload: SpentUpload) -> None:
        """It is closed first, in a transaction of its own: from then on nobody adds a part."""
        access = Access(upload.tenant_id)
        async with self._database.transaction(access) as session:
            if await resumable_uploads.expire(session, upload.upload_id):
                act = Act("upload.expired", "upload", upload.upload_id, upload.tenant_id)
                record(session, act)
        async with self._database.transaction(access) as session:
            parts = await resumable_uploads.parts_of_ended(session, upload.upload_id)
        for first in range(0, len(parts), AT_ONCE):
            await self._destroy(upload, parts[first : first + AT_ONCE])
        async with self._database.transaction(access) as session:
            await resumable_uploads.forget_ended(session, upload.upload_id)

    async def _destroy(self, upload: SpentUpload, parts: list[StoredPart]) -> None:
        """The keys first: a row without a key is tried again, a key without a row would stay."""
        async with task_group() as destroying:
            for part in parts:
                destroying.create_task(self._blobs.destroy(upload.tenant_id, part.blob_id))
        async with self._database.transaction(Access(upload.tenant_id)) as session:
            destroyed = [part.blob_id for part in parts]
            await resumable_uploads.forget_parts(session, upload.upload_id, destroyed)

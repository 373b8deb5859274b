"""Clears away what uploads leave: those that nobody goes on with expire, and the parts of those that
have ended, however they did, are destroyed."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.audit import Act, record
from db.queries import resumable_uploads
from db.queries.resumable_uploads import SpentUpload, StoredPart
from db.session import Access
from muniment.task_group import task_group
from worker.clearing import Clearing

AT_ONCE = 16
"""Parts that are destroyed side by side: each costs a few writes to a disk."""


class SpentUploads(Clearing[SpentUpload]):
    kind = "spent upload"

    async def _find(
        self, session: AsyncSession, after: SpentUpload | None
    ) -> Sequence[SpentUpload]:
        return await resumable_uploads.spent_uploads(session, after.upload_id if after else None)

    def _id_of(self, spent: SpentUpload) -> UUID:
        return spent.upload_id

    async def _clear(self, spent: SpentUpload) -> None:
        """It is closed first, in a transaction of its own: from then on nobody adds a part."""
        access = Access(spent.tenant_id)
        async with self._database.transaction(access) as session:
            if await resumable_uploads.expire(session, spent.upload_id):
                act = Act("upload.expired", "upload", spent.upload_id, spent.tenant_id)
                record(session, act)
        async with self._database.transaction(access) as session:
            parts = await resumable_uploads.parts_of_ended(session, spent.upload_id)
        for first in range(0, len(parts), AT_ONCE):
            await self._destroy(spent, parts[first : first + AT_ONCE])
        async with self._database.transaction(access) as session:
            await resumable_uploads.forget_ended(session, spent.upload_id)

    async def _destroy(self, upload: SpentUpload, parts: list[StoredPart]) -> None:
        """The keys first: a row without a key is tried again, a key without a row would stay."""
        async with task_group() as destroying:
            for part in parts:
                destroying.create_task(self._blobs.destroy(upload.tenant_id, part.blob_id))
        async with self._database.transaction(Access(upload.tenant_id)) as session:
            destroyed = [part.blob_id for part in parts]
            await resumable_uploads.forget_parts(session, upload.upload_id, destroyed)

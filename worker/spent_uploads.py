"""Clears away what uploads leave: the parts of those that have ended, however they did, are destroyed, and
in the end their rows. What runs out of time ends by the tenant's `ExpireUploads`; here ends what that has
missed, so that nothing stays whatever became of a workflow."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from activities.uploads.clearing import UploadClearing
from db.queries import resumable_uploads
from db.queries.resumable_uploads import SpentUpload
from db.session import Access, Database
from muniment.objects import BlobStore
from worker.clearing import INTERVAL_SECONDS, Clearing


class SpentUploads(Clearing[SpentUpload]):
    kind = "spent upload"

    def __init__(
        self, database: Database, blobs: BlobStore, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        super().__init__(database, blobs, interval_seconds)
        self._clearing = UploadClearing(database, blobs)

    async def _find(
        self, session: AsyncSession, after: SpentUpload | None
    ) -> Sequence[SpentUpload]:
        return await resumable_uploads.spent_uploads(session, after.upload_id if after else None)

    def _id_of(self, spent: SpentUpload) -> UUID:
        return spent.upload_id

    async def _clear(self, spent: SpentUpload) -> None:
        """It is closed first, in a transaction of its own: from then on nobody adds a part."""
        await self._clearing.expire(spent.tenant_id, spent.upload_id)
        await self._clearing.destroy_parts(spent.tenant_id, spent.upload_id)
        async with self._database.transaction(Access(spent.tenant_id)) as session:
            await resumable_uploads.forget_ended(session, spent.upload_id)

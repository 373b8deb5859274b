"""What an upload that has ended leaves, and what becomes of it."""

from uuid import UUID

from db.audit import Act, record
from db.queries import resumable_uploads
from db.queries.resumable_uploads import StoredPart
from db.session import Access, Database
from muniment.objects import BlobStore
from muniment.task_group import task_group

AT_ONCE = 16
"""Parts that are destroyed side by side: each costs a few writes to a disk."""


class UploadClearing:
    """Doing it twice is harmless: any number of processes may."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    async def expire(self, tenant_id: UUID, upload_id: UUID) -> bool:
        """Closes the upload if its time has run out and nobody makes a file of it; whether it was closed
        by this. From then on nobody adds a part."""
        async with self._database.transaction(Access(tenant_id)) as session:
            is_expired = await resumable_uploads.expire(session, upload_id)
            if is_expired:
                record(session, Act("upload.expired", "upload", upload_id, tenant_id))
        return is_expired

    async def destroy_parts(self, tenant_id: UUID, upload_id: UUID) -> None:
        """Of an upload that has ended, however it did; of another one none."""
        async with self._database.transaction(Access(tenant_id)) as session:
            parts = await resumable_uploads.parts_of_ended(session, upload_id)
        for first in range(0, len(parts), AT_ONCE):
            await self._destroy(tenant_id, upload_id, parts[first : first + AT_ONCE])

    async def _destroy(self, tenant_id: UUID, upload_id: UUID, parts: list[StoredPart]) -> None:
        """The keys first: a row without a key is tried again, a key without a row would stay."""
        async with task_group() as destroying:
            for part in parts:
                destroying.create_task(self._blobs.destroy(tenant_id, part.blob_id))
        async with self._database.transaction(Access(tenant_id)) as session:
            destroyed = [part.blob_id for part in parts]
            await resumable_uploads.forget_parts(session, upload_id, destroyed)

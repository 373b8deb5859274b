"""Artifacts: stage results in the sealed store."""

import logging
from collections.abc import Sequence
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from db.queries.blobs import is_known
from db.queries.stages import NewBlob, Opening
from db.session import Access, Database
from muniment.errors import DatabaseUnavailable, ObjectStoreUnavailable
from muniment.objects import BlobStore

logger = logging.getLogger(__name__)
ModelT = TypeVar("ModelT", bound=BaseModel)


class Artifacts:
    """Seals results, opens them again, and takes back what never became a result."""

    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._blobs = blobs

    async def load(self, tenant_id: UUID, blob_id: UUID, model: type[ModelT]) -> ModelT:
        """The artifact as its model."""
        return model.model_validate_json(await self.load_bytes(tenant_id, blob_id))

    async def load_bytes(self, tenant_id: UUID, blob_id: UUID) -> bytes:
        """The artifact as it was stored; KeyDestroyed when its version was erased."""
        return await self._blobs.read_all(tenant_id, blob_id)

    async def load_password(self, tenant_id: UUID, opening: Opening) -> str | None:
        """What opens the job's document, when it came with a password."""
        if opening.password_blob_id is None:
            return None
        return (await self.load_bytes(tenant_id, opening.password_blob_id)).decode()

    async def seal(self, tenant_id: UUID, content: bytes) -> NewBlob:
        """Seals and stores the content; the caller commits its row, or discards it."""
        sealed = await self._blobs.put_bytes(tenant_id, content)
        return NewBlob(sealed.blob_id, sealed.size, sealed.sha256)

    async def destroy(self, tenant_id: UUID, blob_id: UUID) -> None:
        """Destroys one that its row calls condemned; doing so twice is harmless."""
        await self._blobs.destroy(tenant_id, blob_id)

    async def discard(self, tenant_id: UUID, blobs: Sequence[NewBlob]) -> None:
        """Destroys those that no committed row names.

        When a commit's answer was lost, only the database knows whether it happened. If it cannot
        be asked, the blob stays: an unknown blob is found by the integrity check, a destroyed one
        is lost.
        """
        for blob in blobs:
            try:
                async with self._database.transaction(Access(tenant_id)) as session:
                    known = await is_known(session, blob.blob_id)
                if not known:
                    await self._blobs.destroy(tenant_id, blob.blob_id)
            except (DatabaseUnavailable, ObjectStoreUnavailable):
                logger.warning("artifact left behind", extra={"blob_id": str(blob.blob_id)})

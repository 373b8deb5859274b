"""Temporal's face of the expiry of uploads."""

import logging
from uuid import UUID

from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from activities.uploads.clearing import UploadClearing
from db.queries import resumable_uploads, upload_timers
from db.session import Access, Database
from muniment.contracts.expire_uploads import (
    ExpireUploadsInput,
    ExpireUploadsResult,
    UploadExpiryActivities,
)
from muniment.errors import DatabaseTooSlow, MunimentError
from muniment.objects import BlobStore

logger = logging.getLogger(__name__)

PAGE = 100


class UploadExpiry(UploadExpiryActivities):
    def __init__(self, database: Database, blobs: BlobStore) -> None:
        self._database = database
        self._clearing = UploadClearing(database, blobs)

    @activity.defn(name="expire_uploads")
    async def expire_uploads(self, request: ExpireUploadsInput) -> ExpireUploadsResult:
        try:
            async with heartbeats():
                expired = await self._expire_due(request.tenant_id)
                async with self._database.transaction(Access(request.tenant_id)) as session:
                    next_in_seconds = await upload_timers.set_timer(session, request.tenant_id)
        except MunimentError as error:
            raise application_error(error, activity.info().attempt) from error
        return ExpireUploadsResult(expired=expired, next_in_seconds=next_in_seconds)

    async def _expire_due(self, tenant_id: UUID) -> int:
        """Closes page by page what is due, and destroys what came of it; how many were closed. What cannot
        be closed or destroyed holds up no other: the workers' rounds try it again."""
        expired = 0
        after: UUID | None = None
        while True:
            async with self._database.transaction(Access(tenant_id)) as session:
                due = await resumable_uploads.due_uploads(session, after, PAGE)
            for upload_id in due:
                expired += await self._expire(tenant_id, upload_id)
            for upload_id in due:
                await self._destroy_parts(tenant_id, upload_id)
            if len(due) < PAGE:
                return expired
            after = due[-1]

    async def _expire(self, tenant_id: UUID, upload_id: UUID) -> bool:
        """Whether it was closed. Raises what keeps all others from it as well."""
        try:
            return await self._clearing.expire(tenant_id, upload_id)
        except DatabaseTooSlow as error:
            ids = {"id": str(upload_id), "reason": error.problem}
            logger.warning("an upload that ran out of time stays open", extra=ids)
            return False

    async def _destroy_parts(self, tenant_id: UUID, upload_id: UUID) -> None:
        try:
            await self._clearing.destroy_parts(tenant_id, upload_id)
        except MunimentError as error:
            ids = {"id": str(upload_id), "reason": error.problem}
            logger.warning("an expired upload's parts stay", extra=ids)

"""Forgets who the person of a request is once its time is over, and destroys the copy that was made."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import subject_requests
from db.queries.subject_requests import SpentRequest
from db.session import Access
from worker.clearing import Clearing


class SpentSubjectRequests(Clearing[SpentRequest]):
    kind = "spent subject request"

    async def _find(
        self, session: AsyncSession, after: SpentRequest | None
    ) -> Sequence[SpentRequest]:
        return await subject_requests.spent(session, after.request_id if after else None)

    def _id_of(self, spent: SpentRequest) -> UUID:
        return spent.request_id

    async def _clear(self, spent: SpentRequest) -> None:
        """As a spent list of questions is, but that its row stays: what was asked for is evidence."""
        access = Access(spent.tenant_id)
        blob_ids = [each for each in (spent.text_key_id, spent.export_blob_id) if each is not None]
        async with self._database.transaction(access) as session:
            await subject_requests.condemn_blobs(session, blob_ids)
        for blob_id in blob_ids:
            await self._blobs.destroy(spent.tenant_id, blob_id)
        async with self._database.transaction(access) as session:
            await subject_requests.forget_words(session, spent.request_id, blob_ids)

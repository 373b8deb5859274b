"""Destroys passwords of encrypted documents as soon as their jobs have ended, however they did."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries.job_passwords import SpentPassword, forget_password, spent_passwords
from db.session import Access
from worker.clearing import Clearing


class SpentPasswords(Clearing[SpentPassword]):
    kind = "spent password"

    async def _find(
        self, session: AsyncSession, after: SpentPassword | None
    ) -> Sequence[SpentPassword]:
        return await spent_passwords(session, after.job_id if after else None)

    def _id_of(self, spent: SpentPassword) -> UUID:
        return spent.job_id

    async def _clear(self, spent: SpentPassword) -> None:
        """The key first: a row without a key is tried again, a key without a row would stay."""
        await self._blobs.destroy(spent.tenant_id, spent.blob_id)
        async with self._database.transaction(Access(spent.tenant_id)) as session:
            await forget_password(session, spent)

"""Forgets what visitors of share links leave: sessions that have expired, and tries of passwords that no
longer count."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import shares
from db.session import Access
from worker.clearing import Clearing


class SpentVisits(Clearing[UUID]):
    """Tenant by tenant, some rows of each in a round."""

    kind = "spent visit"

    async def _find(self, session: AsyncSession, after: UUID | None) -> Sequence[UUID]:
        return await shares.tenants_with_spent_visits(session, after)

    def _id_of(self, spent: UUID) -> UUID:
        return spent

    async def _clear(self, spent: UUID) -> None:
        async with self._database.transaction(Access(spent)) as session:
            await shares.forget_spent_visits(session)

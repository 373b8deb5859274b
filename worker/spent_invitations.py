"""Forgets invitations that are over for long: each holds somebody's name, who may never have come."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import invitations
from db.session import Access
from worker.clearing import Clearing


class SpentInvitations(Clearing[UUID]):
    """Tenant by tenant, some rows of each in a round."""

    kind = "spent invitation"

    async def _find(self, session: AsyncSession, after: UUID | None) -> Sequence[UUID]:
        return await invitations.tenants_with_spent(session, after)

    def _id_of(self, spent: UUID) -> UUID:
        return spent

    async def _clear(self, spent: UUID) -> None:
        async with self._database.transaction(Access(spent)) as session:
            await invitations.forget_spent(session)

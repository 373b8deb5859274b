"""Forgets lists of questions whose time is over, with their answers and the keys that open them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.queries import question_lists
from db.queries.question_lists import SpentList
from db.session import Access
from worker.clearing import Clearing


class SpentQuestionLists(Clearing[SpentList]):
    kind = "spent list of questions"

    async def _find(self, session: AsyncSession, after: SpentList | None) -> Sequence[SpentList]:
        return await question_lists.spent(session, after.list_id if after else None)

    def _id_of(self, spent: SpentList) -> UUID:
        return spent.list_id

    async def _clear(self, spent: SpentList) -> None:
        """It is condemned first: else its verification would find a key that is gone and take it for
        damage. The row goes last: without a key it is tried again, a key without a row would stay."""
        access = Access(spent.tenant_id)
        async with self._database.transaction(access) as session:
            await question_lists.condemn_key(session, spent)
        await self._blobs.destroy(spent.tenant_id, spent.blob_id)
        async with self._database.transaction(access) as session:
            await question_lists.forget_list(session, spent.list_id)

"""Clearing away what has ended, in rounds."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from db.session import Database
from muniment.errors import MunimentError
from muniment.objects import BlobStore
from worker.rounds import go_round

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0
Spent = TypeVar("Spent")


class Clearing(ABC, Generic[Spent]):
    """Destroying twice is harmless, so any number of workers may run one. `kind` is what is cleared
    away, for the log."""

    kind: ClassVar[str]

    def __init__(
        self, database: Database, blobs: BlobStore, interval_seconds: float = INTERVAL_SECONDS
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._interval_seconds = interval_seconds

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            self._interval_seconds,
            f"{self.kind}s stay",
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> int:
        """Clears away what there is, page by page; says how many. One that cannot be cleared away
        holds up no other."""
        cleared = 0
        after: Spent | None = None
        while True:
            async with self._database.across_tenants() as session:
                spent = await self._find(session, after)
            if not spent:
                return cleared
            for each in spent:
                cleared += await self._is_cleared(each, self._id_of(each))
            after = spent[-1]

    async def _is_cleared(self, spent: Spent, spent_id: UUID) -> bool:
        try:
            await self._clear(spent)
        except MunimentError as error:
            ids = {"id": str(spent_id), "reason": error.problem}
            logger.warning(f"a {self.kind} stays", extra=ids)
            return False
        return True

    @abstractmethod
    async def _find(self, session: AsyncSession, after: Spent | None) -> Sequence[Spent]:
        """The next of them behind that one, of all tenants."""

    @abstractmethod
    def _id_of(self, spent: Spent) -> UUID:
        """Of which the log tells."""

    @abstractmethod
    async def _clear(self, spent: Spent) -> None:
        """Clears one away."""

"""Destroys passwords of encrypted documents as soon as their jobs have ended, however they did."""

import logging

from db.queries.job_passwords import SpentPassword, forget_password, spent_passwords
from db.session import Access, Database
from muniment.errors import MunimentError
from muniment.objects import BlobStore
from worker.rounds import go_round

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 5.0


class SpentPasswords:
    """Destroying twice is harmless, so any number of workers may run one."""

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
            "spent passwords stay",
            first_after_seconds=self._interval_seconds,
        )

    async def round(self) -> int:
        """Destroys what is there to destroy, a hundred at a time; says how many. One that cannot be
        destroyed holds up no other."""
        destroyed, after = 0, None
        while True:
            async with self._database.across_tenants() as session:
                spent = await spent_passwords(session, after)
            if not spent:
                return destroyed
            for password in spent:
                destroyed += await self._is_destroyed(password)
            after = spent[-1].job_id

    async def _is_destroyed(self, password: SpentPassword) -> bool:
        try:
            await self._destroy(password)
        except MunimentError as error:
            ids = {"job_id": str(password.job_id), "reason": error.problem}
            logger.warning("a spent password stays", extra=ids)
            return False
        return True

    async def _destroy(self, password: SpentPassword) -> None:
        """The key first: a row without a key is tried again, a key without a row would stay."""
        await self._blobs.destroy(password.tenant_id, password.blob_id)
        async with self._database.transaction(Access(password.tenant_id)) as session:
            await forget_password(session, password)

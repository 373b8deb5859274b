"""Brings the tenants from former providers of keys to the one that wraps now: a rotation for each."""

import logging
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client

from db.audit import Act, record
from db.models import KeyRotation, Tenant, new_id, now
from db.queries.key_rotations import list_rotations, open_rotation
from db.session import Access, Database
from muniment.contracts.rotate_keys import RotateKeysInput, RotationState
from muniment.errors import MunimentError
from muniment.sealing import ChangingKeys
from worker.rounds import go_round
from workflows.starting import start_key_rotation

logger = logging.getLogger(__name__)

ROUND_SECONDS = 60.0
FIRST_ROUND_SECONDS = 10.0
AT_WORK = 8
"""So many tenants' keys are re-wrapped at a time; those that wait for their second round do not count."""
AGAIN_AFTER = timedelta(days=1)
"""One that failed has left keys which somebody must mend first."""


class ProviderChange:
    """A rotation that is open is begun once, so any number of workers may run this."""

    def __init__(self, database: Database, client: Client, keys: ChangingKeys) -> None:
        self._database = database
        self._client = client
        self._keys = keys
        self._told: int | None = None
        self._unknown = set[UUID]()

    async def run(self) -> None:
        """Until cancelled."""
        await go_round(
            self.round,
            ROUND_SECONDS,
            "tenants were not brought to the provider of keys",
            first_after_seconds=FIRST_ROUND_SECONDS,
        )

    async def round(self) -> int:
        """How many rotations are at work after it."""
        await self._keys.carry_destroyed()
        unfinished = await self._keys.unfinished()
        left = frozenset[UUID]().union(*unfinished.values())
        self._tell(len(left), sorted(unfinished))
        at_work = 0
        for tenant_id in sorted(left):
            if at_work == AT_WORK:
                break
            at_work += await self._is_begun(tenant_id)
        return at_work

    async def _is_begun(self, tenant_id: UUID) -> bool:
        """As `_is_at_work`; one tenant's trouble is told, and keeps nobody else back."""
        try:
            return await self._is_at_work(tenant_id)
        except MunimentError as error:
            trouble = {"tenant_id": str(tenant_id), "reason": error.detail}
            logger.error("a tenant was not brought to the provider of keys", extra=trouble)
            return False

    def _tell(self, left: int, former: list[str]) -> None:
        """Whenever it is another number of tenants."""
        if left == self._told:
            return
        self._told = left
        figures = {"provider": self._keys.name, "former": former, "tenants_left": left}
        if left:
            logger.info("tenants are still with a former provider of keys", extra=figures)
        else:
            logger.info("nothing hangs on the former providers of keys: they may go", extra=figures)

    async def _is_at_work(self, tenant_id: UUID) -> bool:
        """Whether the tenant has a rotation that re-wraps keys now; begins one if that is due."""
        async with self._database.transaction(Access(tenant_id)) as session:
            if await session.get(Tenant, tenant_id) is None:
                self._tell_unknown(tenant_id)
                return False
            rotation = await self._due(session, tenant_id)
        if rotation is None:
            return False
        request = RotateKeysInput(tenant_id=tenant_id, rotation_id=rotation.id)
        # Also one that was there: whoever made it may have died before starting it.
        await start_key_rotation(self._client, request)
        return True

    def _tell_unknown(self, tenant_id: UUID) -> None:
        """Once: nothing is done with keys that may be another installation's."""
        if tenant_id not in self._unknown:
            self._unknown.add(tenant_id)
            unknown = {"tenant_id": str(tenant_id)}
            logger.warning("a former provider has keys of an unknown tenant", extra=unknown)

    async def _due(self, session: AsyncSession, tenant_id: UUID) -> KeyRotation | None:
        last = next(iter(await list_rotations(session, limit=1, after=None)), None)
        if last is not None and last.finished_at is None:
            return None if _is_waiting(last) else last
        if last is not None and _was_in_vain(last, self._keys.name):
            return None
        rotation_id = new_id()
        rotation = await open_rotation(session, tenant_id, rotation_id)
        if rotation.id != rotation_id:  # another worker was quicker
            return rotation
        reason = {"reason": "provider-changed", "provider": self._keys.name}
        act = Act(
            "keys.rotation_requested", "key_rotation", rotation.id, tenant_id, payload={**reason}
        )
        record(session, act)
        return rotation


def _is_waiting(rotation: KeyRotation) -> bool:
    """Once it is due it is started again: its workflow may be gone."""
    is_due = rotation.retire_at is None or rotation.retire_at <= now()
    return rotation.state == RotationState.WAITING and not is_due


def _was_in_vain(rotation: KeyRotation, provider: str) -> bool:
    """Whether it failed a short while ago on its own account."""
    # It waits between its rounds, and may fail long after it was made.
    is_recent = now() - (rotation.finished_at or rotation.created_at) < AGAIN_AFTER
    is_failed = rotation.state != RotationState.COMPLETED
    return is_recent and is_failed and rotation.provider == provider

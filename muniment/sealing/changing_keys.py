"""A change from one provider of keys to another: the new one wraps, the former ones go on unwrapping.

A tenant's deduplication key moves at the tenant's first use, and from then on a process with other
settings wraps nothing for it; its wrapped data keys move with a rotation,
and the end of that one takes the tenant away from the former providers. What has not been done lies in
the providers' own records alone: whoever is killed, the next one finds it there.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from uuid import UUID

from muniment.errors import KeyDestroyed, MunimentError
from muniment.sealing.keys import DataKey, KeyProvider, TenantState

logger = logging.getLogger(__name__)

LOOKED_SECONDS = 60.0
"""So long a probe goes by what was unfinished before: thousands of records are no matter of a moment."""


class ChangingKeys:
    """`KeyManagement` on `current` and, by their names, what was current before. Those are of different
    kinds, so that each wrapped data key shows whose it is."""

    def __init__(self, current: KeyProvider, former: Mapping[str, KeyProvider]) -> None:
        self._current = current
        self._former = former
        self._settled = set[UUID]()
        self._needed = frozenset(former)
        self._looked_at: float | None = None

    @property
    def name(self) -> str:
        return self._current.name

    @property
    def former(self) -> Sequence[str]:
        """Names of those that were current before."""
        return [*self._former]

    async def generate_data_key(self, tenant_id: UUID, context: bytes) -> DataKey:
        await self._settle(tenant_id)
        return await self._current.generate_data_key(tenant_id, context)

    async def unwrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        # What destroys a tenant's keys comes to the former providers last.
        if await _state(self._current, tenant_id) is TenantState.DESTROYED:
            raise KeyDestroyed("the keys of this tenant were destroyed")
        return await self._provider_of(wrapped).unwrap(tenant_id, wrapped, context)

    async def rewrap(self, tenant_id: UUID, wrapped: bytes, context: bytes) -> bytes:
        if self._provider_of(wrapped) is self._current:
            return await self._current.rewrap(tenant_id, wrapped, context)
        plaintext = await self.unwrap(tenant_id, wrapped, context)
        await self._settle(tenant_id)
        return await self._current.wrap(tenant_id, plaintext, context)

    async def newest_version(self, tenant_id: UUID) -> int:
        await self._settle(tenant_id)
        return await self._current.newest_version(tenant_id)

    async def rotate_tenant_key(self, tenant_id: UUID, above: int) -> int:
        # What a rotation counts on is looked at anew: others may have changed back meanwhile.
        self._settled.discard(tenant_id)
        await self._settle(tenant_id)
        return await self._current.rotate_tenant_key(tenant_id, above)

    async def retire_versions(self, tenant_id: UUID, below: int) -> None:
        """And has all versions of the former providers unwrap nothing any more."""
        await self._settle(tenant_id)
        await self._current.retire_versions(tenant_id, below)
        for former in self._former.values():
            await former.move_away(tenant_id)

    async def destroy_tenant_key(self, tenant_id: UUID) -> None:
        await self._current.destroy_tenant_key(tenant_id)
        for former in self._former.values():
            if await _state(former, tenant_id) is not TenantState.UNKNOWN:
                await former.destroy_tenant_key(tenant_id)

    async def dedup_tag(self, tenant_id: UUID, sha256: bytes) -> bytes:
        await self._settle(tenant_id)
        return await self._current.dedup_tag(tenant_id, sha256)

    async def probe(self) -> None:
        """The former ones too, while anything hangs on them."""
        await self._current.probe()
        for name in await self.needed():
            await self._former[name].probe()

    async def close(self) -> None:
        for provider in (self._current, *self._former.values()):
            await provider.close()

    async def unfinished(self) -> Mapping[str, frozenset[UUID]]:
        """By former provider the tenants that have not moved: while there are any it is needed."""
        states = await asyncio.to_thread(self._current.states)
        return {
            name: tenants_left(await asyncio.to_thread(former.states), states)
            for name, former in self._former.items()
        }

    async def needed(self) -> frozenset[str]:
        """Names of the former providers that some tenant has not moved from, as of the last minute."""
        if self._looked_at is None or time.monotonic() - self._looked_at >= LOOKED_SECONDS:
            unfinished = await self.unfinished()
            self._needed = frozenset(name for name, tenants in unfinished.items() if tenants)
            self._looked_at = time.monotonic()
        return self._needed

    async def carry_destroyed(self) -> None:
        """Notes with the current provider which tenants' keys were destroyed, so that none are made
        anew once the former ones are gone; and destroys with those what was only destroyed with it. One
        tenant's trouble is told, and keeps no other back."""
        states = await asyncio.to_thread(self._current.states)
        for former in self._former.values():
            for tenant_id, state in (await asyncio.to_thread(former.states)).items():
                is_destroyed = states.get(tenant_id) is TenantState.DESTROYED
                unaware = None
                if state is TenantState.DESTROYED and not is_destroyed:
                    unaware = self._current
                if state in (TenantState.LIVING, TenantState.LEAVING) and is_destroyed:
                    unaware = former
                try:
                    if unaware is not None:
                        await unaware.destroy_tenant_key(tenant_id)
                except MunimentError as error:
                    trouble = {"tenant_id": str(tenant_id), "reason": error.detail}
                    logger.error("a tenant's keys were not destroyed everywhere", extra=trouble)

    def _provider_of(self, wrapped: bytes) -> KeyProvider:
        """Whose the wrapped data key is; the current one says of all else that it is none."""
        for former in self._former.values():
            if former.wrapped_here(wrapped):
                return former
        return self._current

    async def _settle(self, tenant_id: UUID) -> None:
        """Has the current provider know what a former one knows of the tenant, and these wrap nothing for
        it any more. It lives with the current one first: whoever is killed leaves one that wraps."""
        if tenant_id in self._settled:
            return
        states = {name: await _state(former, tenant_id) for name, former in self._former.items()}
        if await _state(self._current, tenant_id) not in (
            TenantState.LIVING,
            TenantState.DESTROYED,
        ):
            await self._take_over(tenant_id, states)
        for name, former in self._former.items():
            if states[name] in (TenantState.UNKNOWN, TenantState.LIVING):
                await former.leave(tenant_id)
        self._settled.add(tenant_id)

    async def _take_over(self, tenant_id: UUID, states: Mapping[str, TenantState]) -> None:
        if TenantState.DESTROYED in states.values():
            await self._current.destroy_tenant_key(tenant_id)
            return
        for state in (TenantState.LIVING, TenantState.LEAVING):
            for name in (name for name, found in states.items() if found is state):
                dedup_key = await self._former[name].dedup_key(tenant_id)
                await self._current.take_over(tenant_id, dedup_key)
                ids = {"tenant_id": str(tenant_id), "from": name, "to": self.name}
                logger.info("a tenant has come to another key management", extra=ids)
                return
        await self._current.newest_version(tenant_id)  # which makes keys for one that nobody knows


def tenants_left(
    former: Mapping[UUID, TenantState], current: Mapping[UUID, TenantState]
) -> frozenset[UUID]:
    """Tenants that would be lost with the former provider: whose keys it has, and of whom it alone
    knows that theirs were destroyed."""
    return frozenset(
        tenant_id
        for tenant_id, state in former.items()
        if state in (TenantState.LIVING, TenantState.LEAVING)
        or (state is TenantState.DESTROYED and current.get(tenant_id) is not TenantState.DESTROYED)
    )


async def _state(provider: KeyProvider, tenant_id: UUID) -> TenantState:
    return await asyncio.to_thread(provider.state, tenant_id)

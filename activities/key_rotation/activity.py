"""Temporal's face of the rotation of a tenant's key."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.failures import application_error
from activities.heartbeats import heartbeats
from db.audit import Act, record
from db.models import KeyRotation, now
from db.queries import key_rotations
from db.queries.key_rotations import ShardCounts
from db.session import Access, Database
from muniment.contracts.rotate_keys import (
    ROUNDS,
    SHARDS,
    EndRotationInput,
    KeyRotationActivities,
    RewrapResult,
    RotateKeysInput,
    RotationState,
)
from muniment.errors import ConfigurationError, MunimentError, SealBroken
from muniment.objects import BlobStore
from muniment.sealing import ChangingKeys, KeyManagement
from muniment.task_group import task_group

logger = logging.getLogger(__name__)

BATCH_SECONDS = 20.0
"""An attempt takes no further shard after so long; a dead worker's shard is looked through again."""
LOCKED_KEYS = 100
"""Keys that are replaced in one transaction: an erasure of their files waits for it, some tens of
milliseconds."""
IN_FLIGHT = 8
"""Keys that are re-wrapped at a time, and so requests to a key management elsewhere."""


@dataclass
class _Renewals:
    """Data keys as the newest version wraps them, by blob, and blobs whose key does not unwrap.
    `replaced`: those that were put in the place of the former ones, or may have been."""

    renewed: dict[UUID, bytes] = field(default_factory=dict)
    unreadable: set[UUID] = field(default_factory=set)
    replaced: set[UUID] = field(default_factory=set)

    def blobs(self) -> list[UUID]:
        return [*self.renewed, *self.unreadable]


class KeyRotations(KeyRotationActivities):
    """`wait`: how long after the first round the second one begins."""

    def __init__(
        self, database: Database, blobs: BlobStore, keys: KeyManagement, wait: timedelta
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._keys = keys
        self._wait = wait

    @activity.defn(name="begin_key_rotation")
    async def begin_key_rotation(self, request: RotateKeysInput) -> None:
        async with _attempt(), heartbeats():
            newest = await self._keys.newest_version(request.tenant_id)
            async with self._rotation(request) as (_, rotation):
                if rotation is None:
                    return
                if rotation.from_version is None:
                    # Committed before the new version is made, so that a repetition makes no other.
                    rotation.from_version, rotation.provider = newest, self._keys.name
                self._require_its_provider(rotation, newest)
                from_version = rotation.from_version
            to_version = await self._keys.rotate_tenant_key(request.tenant_id, above=from_version)
            async with self._rotation(request) as (_, rotation):
                if rotation is not None and rotation.to_version is None:
                    rotation.to_version = to_version
                    rotation.state = RotationState.RUNNING.value

    @activity.defn(name="rewrap_keys")
    async def rewrap_keys(self, request: RotateKeysInput) -> RewrapResult:
        async with _attempt(), heartbeats():
            loop = asyncio.get_running_loop()
            until = loop.time() + BATCH_SECONDS
            await self._look_after_a_crash(request)
            newest = await self._keys.newest_version(request.tenant_id)
            while loop.time() < until:
                async with self._rotation(request) as (session, rotation):
                    if rotation is None:
                        return RewrapResult(is_last=True)
                    self._require_its_provider(rotation, newest)
                    if rotation.shards_done == SHARDS:
                        if rotation.round == ROUNDS:
                            return RewrapResult(is_last=True)
                        await key_rotations.begin_round(session, rotation, self._wait)
                    if (waiting := _seconds_until_due(rotation)) > 0:
                        return RewrapResult(is_last=False, wait_seconds=waiting)
                    rotation.state = RotationState.RUNNING.value
                counts = await self._rewrap_next(request, rotation.shards_done)
                async with self._transaction(request.tenant_id) as session:
                    await key_rotations.advance(session, rotation, counts)
            return RewrapResult(is_last=False)

    @activity.defn(name="finish_key_rotation")
    async def finish_key_rotation(self, request: RotateKeysInput) -> None:
        async with _attempt(), heartbeats():
            newest = await self._keys.newest_version(request.tenant_id)
            async with self._rotation(request) as (session, rotation):
                if rotation is None:
                    return
                if rotation.keys_unreadable:
                    _end(session, rotation, RotationState.FAILED)
                    return
                self._require_its_provider(rotation, newest)
            if rotation.to_version is not None:
                await self._keys.retire_versions(request.tenant_id, below=rotation.to_version)
            async with self._rotation(request) as (session, rotation):
                if rotation is not None:
                    _end(session, rotation, RotationState.COMPLETED)

    @activity.defn(name="end_key_rotation")
    async def end_key_rotation(self, request: EndRotationInput) -> None:
        async with _attempt(), self._rotation(request) as (session, rotation):
            if rotation is not None:
                _end(session, rotation, request.state)

    def _require_its_provider(self, rotation: KeyRotation, newest: int) -> None:
        """Keys that were re-wrapped before the provider changed hang on the former one: what began with
        it does not end with this one, but anew. Nor where the tenant was away meanwhile and has come
        back, which has made another version: what was stored then is not wrapped by this provider."""
        if rotation.provider is None and not isinstance(self._keys, ChangingKeys):
            # It began under a release that knew of no change, and so with the provider that is here.
            rotation.provider = self._keys.name
        is_its_version = rotation.to_version in (None, newest)
        if rotation.provider != self._keys.name or not is_its_version:
            raise ConfigurationError(
                "the provider of keys was changed in the middle of a rotation",
                remedy="Rotate again, unless it has begun by itself; nothing was retired.",
            )

    async def _rewrap_next(self, request: RotateKeysInput, first: int) -> ShardCounts:
        """The next shard that holds anything, with the empty ones before it."""
        for shard in range(first, SHARDS):
            counts = await self._rewrap_shard(request, shard)
            if counts.looked_at:
                break
        return replace(counts, shards=shard + 1 - first)

    async def _look_after_a_crash(self, request: RotateKeysInput) -> None:
        """Whoever was killed while it replaced keys of blobs without rows did not look afterwards
        whether these were destroyed meanwhile."""
        async with self._rotation(request) as (_, rotation):
            left = frozenset(rotation.replacing) if rotation is not None else frozenset()
        if left:
            await self._destroy_again(request.tenant_id, [*left], _Renewals(replaced={*left}))
            await self._note_replacing(request, ())

    async def _note_replacing(self, request: RotateKeysInput, blob_ids: Sequence[UUID]) -> None:
        async with self._transaction(request.tenant_id) as session:
            await key_rotations.note_replacing(session, request.rotation_id, blob_ids)

    async def _rewrap_shard(self, request: RotateKeysInput, shard: int) -> ShardCounts:
        tenant_id = request.tenant_id
        looked_at = rewrapped = unreadable = 0
        async for page in self._blobs.wrapped_keys(tenant_id, shard):
            looked_at += len(page)
            for start in range(0, len(page), LOCKED_KEYS):
                blob_ids = page[start : start + LOCKED_KEYS]
                renewals = await self._renew(tenant_id, blob_ids)
                try:
                    kept, broken = await self._keep(request, renewals)
                finally:
                    await self._destroy_again(tenant_id, blob_ids, renewals)
                rewrapped += kept
                unreadable += len(broken)
                for blob_id in broken:
                    logger.error("a wrapped key does not unwrap", extra={"blob_id": str(blob_id)})
        return ShardCounts(1, looked_at, rewrapped, unreadable)

    async def _renew(self, tenant_id: UUID, blob_ids: Sequence[UUID]) -> _Renewals:
        places = asyncio.Semaphore(IN_FLIGHT)
        renewals = _Renewals()

        async def renew(blob_id: UUID) -> None:
            async with places:
                try:
                    renewed = await self._blobs.renewed_key(tenant_id, blob_id)
                except SealBroken:
                    renewals.unreadable.add(blob_id)
                    return
            if renewed is not None:
                renewals.renewed[blob_id] = renewed

        async with task_group() as tasks:
            for blob_id in blob_ids:
                tasks.create_task(renew(blob_id))
        return renewals

    async def _keep(
        self, request: RotateKeysInput, renewals: _Renewals
    ) -> tuple[int, AbstractSet[UUID]]:
        """How many keys were replaced, and the blobs in use whose key does not unwrap."""
        tenant_id = request.tenant_id
        if not renewals.blobs():
            return 0, frozenset()
        async with self._transaction(tenant_id) as session:
            # An erasure that comes now waits, and then destroys what is kept here; of one that came
            # first nothing is brought back.
            known = await key_rotations.lock_against_erasure(session, renewals.blobs())
            replaced = await self._replace(tenant_id, renewals, known.living)
        nameless = set(renewals.blobs()) - known.living - known.destroyed
        # One without ciphertext is only half made, or half destroyed; whoever makes it sees himself
        # to it that the newest version wraps its key.
        whole = await self._with_ciphertext(tenant_id, nameless)
        if whole:
            await self._note_replacing(request, [*whole])
        replaced += await self._replace(tenant_id, renewals, whole)
        return replaced, renewals.unreadable & (known.living | whole)

    async def _destroy_again(
        self, tenant_id: UUID, blob_ids: Sequence[UUID], renewals: _Renewals
    ) -> None:
        """Takes away the keys of blobs that were destroyed while their keys were replaced: no lock
        holds parts of uploads, and one on a row is lost with the connection."""
        async with self._transaction(tenant_id) as session:
            known = await key_rotations.known_blobs(session, blob_ids)
        # What was replaced had a ciphertext: where it has none any more, it was destroyed. Where it
        # still has one, whoever destroys it takes the key away after the ciphertext.
        suspects = (renewals.replaced - known.living) | known.destroyed
        for blob_id in suspects - await self._with_ciphertext(tenant_id, suspects):
            await self._blobs.destroy(tenant_id, blob_id)

    async def _with_ciphertext(
        self, tenant_id: UUID, blob_ids: AbstractSet[UUID]
    ) -> AbstractSet[UUID]:
        places = asyncio.Semaphore(IN_FLIGHT)

        async def has_ciphertext(blob_id: UUID) -> bool:
            async with places:
                return await self._blobs.has_ciphertext(tenant_id, blob_id)

        async with task_group() as tasks:
            found = {blob_id: tasks.create_task(has_ciphertext(blob_id)) for blob_id in blob_ids}
        return {blob_id for blob_id, task in found.items() if task.result()}

    async def _replace(
        self, tenant_id: UUID, renewals: _Renewals, blob_ids: AbstractSet[UUID]
    ) -> int:
        """How many keys were replaced."""
        chosen = {
            blob_id: renewed for blob_id, renewed in renewals.renewed.items() if blob_id in blob_ids
        }
        renewals.replaced.update(chosen)
        async with task_group() as tasks:
            kept = [
                tasks.create_task(self._blobs.keep_renewed_key(tenant_id, blob_id, renewed))
                for blob_id, renewed in chosen.items()
            ]
        return sum(task.result() for task in kept)

    @asynccontextmanager
    async def _rotation(
        self, request: RotateKeysInput | EndRotationInput
    ) -> AsyncIterator[tuple[AsyncSession, KeyRotation | None]]:
        """The rotation in a transaction that holds it; none once it is over."""
        async with self._transaction(request.tenant_id) as session:
            yield session, await key_rotations.rotation_at_work(session, request.rotation_id)

    @asynccontextmanager
    async def _transaction(self, tenant_id: UUID) -> AsyncIterator[AsyncSession]:
        async with self._database.transaction(Access(tenant_id)) as session:
            yield session


def _seconds_until_due(rotation: KeyRotation) -> float:
    if rotation.retire_at is None:
        return 0.0
    return (rotation.retire_at - now()).total_seconds()


def _end(session: AsyncSession, rotation: KeyRotation, state: RotationState) -> None:
    rotation.state = state.value
    rotation.finished_at = now()
    figures = {
        "provider": rotation.provider,
        "from_version": rotation.from_version,
        "to_version": rotation.to_version,
        "keys_rewrapped": rotation.keys_rewrapped,
        "keys_unreadable": rotation.keys_unreadable,
    }
    action = f"keys.rotation_{state.value}"
    act = Act(action, "key_rotation", rotation.id, rotation.tenant_id, payload={**figures})
    record(session, act)
    level = logging.WARNING if state is RotationState.FAILED else logging.INFO
    ids = {"rotation_id": str(rotation.id), "state": state.value}
    logger.log(level, "a rotation of a tenant's key has ended", extra={**ids, **figures})


@asynccontextmanager
async def _attempt() -> AsyncIterator[None]:
    try:
        yield
    except MunimentError as error:
        raise application_error(error, activity.info().attempt) from error
